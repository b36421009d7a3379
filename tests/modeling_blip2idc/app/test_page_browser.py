"""The page in a real browser, in the windows of a desktop and of a phone."""

import json
import shutil

import pytest

from modeling_blip2idc.loading.examples import load_examples
from tests.support.page_server import serving

pytest.importorskip("gradio", reason="the extra `app` is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMEDRIVER = shutil.which("chromedriver")
no_browser = pytest.mark.skipif(not CHROMEDRIVER or not shutil.which("chromium"), reason="no chromium here")
pytestmark = [pytest.mark.slow, no_browser]
DESKTOP, PHONE = (1280, 900), (390, 844)
FLAGS = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
    "disable-background-networking", "disable-component-update",
)  # fmt: skip
PAIR = load_examples()[0]
SAID = "the small red rubber cube became blue"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("space")) as server:
        yield server


class Page:
    """The page in a window of a browser."""

    def __init__(self, browser, url, size, dark=False):
        self.browser, self.url = browser, url
        self.wait = WebDriverWait(browser, 60)
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        browser.get(url)
        self.find("#before input[type=file]")
        self.choose_model("mini (embedded)")

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def find(self, css):
        return self.wait.until(lambda _: self.all(css), css)[0]

    def choose_model(self, name):
        box = self.find("#choice input")
        box.click()
        self.wait.until(lambda _: [one for one in self.all("[role=option]") if name in one.text])[0].click()
        self.wait.until(lambda _: box.get_attribute("value") == name)

    def upload(self, before, after):
        for side, path in (("before", before), ("after", after)):
            self.find(f"#{side} input[type=file]").send_keys(str(path))
            self.find(f"#{side} button[aria-label='Remove Image']")  # it has arrived

    def text(self, css):
        return self.wait.until(lambda _: self.all(css) and self.all(css)[0].text, css)

    def loaded(self, css):
        """Widths of images as they were decoded."""
        script = "return [...document.querySelectorAll(arguments[0])].map((image) => image.naturalWidth)"
        return self.browser.execute_script(script, css)

    def fits(self):
        """Whether nothing sticks out to the side."""
        return self.browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture
def open_page(server, tmp_path):
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    try:
        yield lambda size, **kwargs: Page(browser, server.url, size, **kwargs)
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
        asked = [url for url in asked if url.startswith(("http", "ws"))]
        assert asked and [url for url in asked if not url.startswith(server.url)] == []
    finally:
        browser.quit()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_two_files_and_what_is_said_of_them(open_page, size):
    page = open_page(size)
    assert "No pair yet" in page.text(".waiting") and page.fits()
    page.upload(PAIR["before"], PAIR["after"])
    page.find("#say").click()
    assert page.text(".answer .said").lower() == SAID
    assert page.text(".chip") == "● Something changed"
    assert page.text(".sure").split() == ["Confidence", "80", "%"]
    assert "not calibrated" in page.text(".answer .note")
    page.wait.until(lambda _: page.loaded("#where img") == [144, 144])
    page.wait.until(lambda _: page.loaded("#swipe img") == [144, 144])
    assert page.fits()
    before, after = (page.find(f"#{side}").rect for side in ("before", "after"))
    assert (before["y"] == after["y"]) is (size == DESKTOP)
    assert all(image.get_attribute("alt") for image in page.all("img"))
    line = page.find("#swipe [role=separator]")
    start = line.rect["x"]
    line.send_keys(Keys.ARROW_LEFT * 5)
    page.wait.until(lambda _: abs(start - 100 - line.rect["x"]) < 10)


def test_an_example_where_nothing_changed(open_page):
    page = open_page(PHONE, dark=True)
    page.find(".examples button[value='5']").send_keys(Keys.ENTER)
    assert page.text(".chip") == "✓ Nothing changed"
    page.wait.until(lambda _: page.loaded("#swipe img") == [144, 144])
    assert page.loaded("#before img") == page.loaded("#after img") == [144]
    assert page.all("#where img") == [] and page.fits()
    background = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(17, 20, 23)"


def test_what_goes_wrong_is_said_on_the_page(open_page, server, tmp_path):
    page = open_page(PHONE)
    page.find("#say").click()
    assert page.text(".trouble") == "That did not work\nThe before image is missing: choose two images."
    broken = tmp_path / "<b>broken.png"
    broken.write_bytes(b"no image")
    page.upload(broken, PAIR["after"])
    page.find("#say").click()
    page.wait.until(lambda _: "damaged or not an image" in page.text(".trouble"))
    assert page.all("#where img") == page.all("#swipe img") == [] and page.fits()
    page.choose_model("mini")
    page.find(".examples button").click()
    assert page.text(".answer .said").lower() == SAID
    for path in server.log.parent.glob("gradio/blip2idc-*/*/*"):  # as an hour later
        path.unlink()
    page.find("#say").click()
    said = "The before image is not an upload that is still here: choose it again."
    assert page.text("[data-testid=toast-text]") == said


def test_a_file_that_is_too_large_is_refused(open_page, tmp_path):
    page = open_page(DESKTOP)
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(20_000_001)
    page.find("#before input[type=file]").send_keys(str(large))
    assert page.text("[data-testid=toast-text]").startswith("File(s) exceed the maximum allowed size")
    page.browser.get_log("browser")  # gradio's own complaint about that upload
