"""The metric's page: what it reads and shows, without gradio; and, slow, the page itself as it would be published."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from metrics.cider import align, app, compare, constant_caption, leave_one_out, score

MODULE = Path(__file__).resolve().parents[2] / "metrics" / "cider"
METRIC = SimpleNamespace(compute=score, constant_caption=constant_caption, leave_one_out=leave_one_out)
ALL = ["cider", "bleu", "rouge_l"]
GOOD = '{"prediction": "a b", "references": ["a b"]}'


def lines(*records):
    return "\n".join(json.dumps(record) for record in records)


def write(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_the_page_imports_nothing_before_it_is_built():
    code = (
        "import sys; import metrics.cider.app;"
        "print([m for m in ('gradio', 'evaluate', 'datasets', 'pandas') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=MODULE.parents[1], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_rows_of_lines():
    text = (
        '{"prediction": "a\u2028b", "references": ["c"], "id": 1}\r\n\n{"prediction": "", "references": ["d", "e"]}\n'
    )
    rows = app.read_lines(text)
    assert rows == app.Rows(["Line 1", "Line 3"], [["a\u2028b", ""]], [["c"], ["d", "e"]], None)


def test_rows_of_two_systems_with_categories():
    rows = app.read_lines(
        lines({"prediction_a": "a", "prediction_b": "b", "references": ["c"], "category": "k"}), app.TWO
    )
    assert rows == app.Rows(["Line 1"], [["a"], ["b"]], [["c"]], ["k"])


def test_the_example_is_read_by_both_tabs():
    assert app.read_lines(app.example(app.ONE)).references == app.read_lines(app.example(app.TWO), app.TWO).references


def test_a_file_is_utf_8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"é": 1}', encoding="utf-8-sig")
    assert app.read_text(path) == '{"é": 1}'


def test_rows_of_coco_files(tmp_path):
    annotations = {"images": [], "annotations": [{"image_id": 7, "caption": "c"}, {"image_id": 5, "caption": "d"}]}
    results = [{"image_id": 5, "caption": "b"}, {"image_id": 7, "caption": "a"}]
    paths = write(tmp_path, "annotations.json", annotations), write(tmp_path, "results.json", results)
    names, references = ["Image 7", "Image 5"], [["c"], ["d"]]
    assert app.read_coco(align, *paths) == app.Rows(names, [["a", "b"]], references)
    assert app.read_coco(align, *paths, paths[1]) == app.Rows(names, [["a", "b"], ["a", "b"]], references)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There are no rows."),
        (" \n\n", "There are no rows."),
        (
            GOOD + "\n\n{oops}",
            "Line 3 is not JSON: Expecting property name enclosed in double quotes: column 2 (char 1).",
        ),
        ("[" * 100_000, "Line 1 is not JSON: maximum recursion depth exceeded"),
        ("1" * 5_000, "Line 1 is not JSON: Exceeds the limit"),
        ("[1]", "Line 1 is [1]; give an object with prediction, references."),
        (
            GOOD + "\n" + '{"prediction": "a"}',
            "Line 2 is {'prediction': 'a'}; give an object with prediction, references.",
        ),
        (
            GOOD + "\n" + GOOD[:-1] + ', "category": "k"}',
            "Line 1 is {'prediction': 'a b', 'references': ['a b']}; give an",
        ),
        (lines({"prediction": None, "references": ["a"]}), "Line 1: prediction is None, not a string."),
        (
            lines({"prediction": "a", "references": "a"}),
            "Line 1: references is 'a'; give a list of at least one caption.",
        ),
        (
            lines({"prediction": "a", "references": []}),
            "Line 1: references is []; give a list of at least one caption.",
        ),
        (lines({"prediction": "a", "references": ["a", 3]}), "Line 1: references[1] is 3, not a string."),
        (lines({"prediction": "a", "references": ["a"], "category": 3}), "Line 1: category is 3, not a string."),
        (
            '{"prediction": "\\ud800", "references": ["a"]}',
            "Line 1: prediction has a lone surrogate, which is no text.",
        ),
    ],
)
def test_wrong_lines_are_named(text, message):
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        app.read_lines(text)


@pytest.mark.parametrize(
    ("limit", "record", "message"),
    [
        ("MAX_BYTES", {}, "115 characters are too many; the limit is 1."),
        ("MAX_ROWS", {}, "2 rows are too many; the limit is 1."),
        ("MAX_CAPTIONS", {}, "2 references are too many; the limit is 1."),
        ("MAX_CATEGORIES", {}, "2 categories are too many; the limit is 1."),
        ("MAX_REFERENCES", {"references": ["a", "b"]}, "2 references (Line 1) are too many; the limit is 1."),
        ("MAX_CHARACTERS", {"prediction": "ab"}, "2 characters (Line 1: prediction) are too many; the limit is 1."),
    ],
)
def test_limits(monkeypatch, limit, record, message):
    text = lines(*({"prediction": "a", "references": ["b"], "category": kind} | record for kind in "kl"))
    assert len(app.read_lines(text).names) == 2
    monkeypatch.setattr(app, limit, 1)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        app.read_lines(text)


def test_limits_are_those_of_a_small_server():
    assert (app.MAX_BYTES, app.MAX_ROWS) == (20_000_000, 50_000)


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "MAX_BYTES", 3)
    with pytest.raises(ValueError, match=r"^4 bytes in rows\.jsonl are too many; the limit is 3\.$"):
        app.read_text(write(tmp_path, "rows.jsonl", "1234"))


@pytest.mark.parametrize(
    ("annotations", "results", "message"),
    [
        (
            "{\n]",
            [],
            "annotations.json is not JSON: Expecting property name enclosed in double quotes: line 2 column 1",
        ),
        ([], "[1", "results.json is not JSON: Expecting ',' delimiter: column 3"),
        (3, [], "references is 3 (int); give a list"),
        ([], 3, "predictions is 3 (int); give a list"),
        ([], [], "There are no rows."),
        ([{"image_id": 1, "caption": "a"}], [], "1 images of references have no prediction: 1"),
        ({"1": ["a"]}, {"1": 3}, "Image 1: prediction is 3, not a string."),
        ({"1": "a"}, {"1": "a"}, "Image 1: references is 'a'; give a list of at least one caption."),
    ],
)
def test_wrong_coco_files(tmp_path, annotations, results, message):
    paths = write(tmp_path, "annotations.json", annotations), write(tmp_path, "results.json", results)
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        app.read_coco(align, *paths)


def test_a_missing_or_binary_file(tmp_path):
    with pytest.raises(ValueError, match="A file is missing"):
        app.read_coco(align, None, None)
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="utf-8"):
        app.read_text(tmp_path / "image.png")


def test_tables_of_scores():
    rows = app.read_lines(app.example(app.ONE))
    result = app.score_rows(METRIC, rows, ALL)
    whole, categories, single = app.score_tables(result, rows)
    assert whole == {
        "headers": ["", "Your captions", "Best single caption", "People"],
        "data": [
            ["CIDEr", "425.5 (316.0 – 526.5)", "108.0 (3.5 – 305.7)", "81.1 (30.1 – 134.7)"],
            ["BLEU-1", "100.0 (100.0 – 100.0)", "33.3 (11.1 – 58.3)", "29.6 (12.5 – 41.3)"],
            ["BLEU-2", "97.3 (92.9 – 100.0)", "25.8 (0.0 – 55.3)", "16.8 (0.0 – 25.0)"],
            ["BLEU-3", "90.0 (76.3 – 100.0)", "22.3 (0.0 – 53.5)", "0.0 (0.0 – 0.0)"],
            ["BLEU-4", "86.0 (66.4 – 100.0)", "20.7 (0.0 – 52.6)", "0.0 (0.0 – 0.0)"],
            ["ROUGE-L", "90.1 (77.8 – 100.0)", "32.0 (10.9 – 58.9)", "26.7 (12.1 – 43.2)"],
        ],
    }
    assert categories == {
        "headers": ["Category", "Images", "CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"],
        "data": [
            ["added", 2, "504.4", "100.0", "94.3", "85.9", "78.6", "87.0"],
            ["none", 2, "375.0", "100.0", "100.0", "100.0", "100.0", "100.0"],
            ["removed", 2, "397.3", "100.0", "100.0", "90.9", "93.1", "83.3"],
        ],
    }
    assert single["headers"] == ["CIDEr", "", "Caption", "References"]
    assert single["data"][0] == [
        245.3,
        "Line 4",
        "the people left",
        "two people left | the people are no longer there",
    ]
    assert [line[0] for line in single["data"]] == [245.3, 250.0, 405.2, 500.0, 549.3, 603.5]
    assert app.score_notes(result) == (
        "6 images. The best single caption for all of them is “there is a new blue cube”. "
        "People: each reference against the others, of 6 images that have several."
    )


def test_tables_without_what_was_not_asked_for(monkeypatch):
    monkeypatch.setattr(app, "SHOWN", 1)
    rows = app.read_lines(lines(*({"prediction": word, "references": [word]} for word in ("one cat", "two dogs"))))
    result = app.score_rows(METRIC, rows, ["rouge_l", "bleu"], interval=False, floors=False)
    whole, categories, single = app.score_tables(result, rows)
    assert whole["headers"] == ["", "Your captions"]
    assert [line[0] for line in whole["data"]] == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"]
    assert whole["data"][-1] == ["ROUGE-L", "100.0"]
    assert categories["data"] == []
    assert single == {
        "headers": ["ROUGE-L", "", "Caption", "References"],
        "data": [[100.0, "Line 1", "one cat", "one cat"]],
    }
    assert app.score_notes(result) == "2 images."


def test_nobody_is_compared_with_people_when_images_have_one_reference():
    rows = app.read_lines(lines(*({"prediction": word, "references": [word]} for word in ("a cat", "a dog"))))
    assert "leave_one_out" not in app.score_rows(METRIC, rows, ALL)


def test_a_single_image_has_no_interval_and_says_why_it_scores_nothing():
    rows = app.read_lines(GOOD)
    result = app.score_rows(METRIC, rows, ["cider"])
    assert app.score_tables(result, rows)[0]["data"] == [["CIDEr", "0.0", "0.0"]]
    assert app.score_notes(result).split("\n\n")[1].startswith("cider is 0.0 because there is only one image")
    assert json.loads(json.dumps(result)) == result


def test_category_frequencies_are_passed_on():
    rows = app.read_lines(app.example(app.ONE))
    result = app.score_rows(METRIC, rows, ["cider"], idf="category", floors=False)
    assert {part["idf"] for part in result["by_category"].values()} == {"category"}


def test_table_and_sentence_of_a_comparison():
    rows = app.read_lines(app.example(app.TWO), app.TWO)
    table = app.compare_table(compare(*rows.systems, rows.references, categories=rows.categories), rows)
    assert table == {
        "headers": ["Category", "Images", "Score", "A", "B", "A − B", "95 % interval", "p"],
        "data": [
            ["All", 6, "CIDEr", "425.5", "208.8", "+216.7", "+121.5 to +290.1", "0.001"],
            ["added", 2, "CIDEr", "504.4", "182.5", "+321.8", "+316.8 to +326.9", "0.001"],
            ["none", 2, "CIDEr", "375.0", "252.7", "+122.3", "+0.0 to +244.6", "0.478"],
            ["removed", 2, "CIDEr", "397.3", "191.3", "+206.0", "+198.5 to +213.6", "0.001"],
        ],
    }
    assert app.verdict(*table["data"][0][2:]) == (
        "A is 216.7 points of CIDEr above B, which chance hardly explains "
        "(95 % interval of the difference +121.5 to +290.1, p = 0.001)."
    )


def test_sentence_of_a_small_difference_and_of_one_image():
    assert app.verdict("BLEU-4", "1.0", "2.0", "-1.0", "-3.0 to +1.0", "0.300") == (
        "A is 1.0 points of BLEU-4 below B, which chance may explain "
        "(95 % interval of the difference -3.0 to +1.0, p = 0.300)."
    )
    rows = app.Rows(["Line 1"], [["a b"], ["c"]], [["a b"]])
    table = app.compare_table(compare(*rows.systems, rows.references, scorers="rouge_l"), rows)
    assert table["data"] == [["All", 1, "ROUGE-L", "100.0", "0.0", "+100.0", "", ""]]
    assert app.verdict(*table["data"][0][2:]) == "A single image cannot show whether a difference is more than chance."


def front_matter(name):
    head = (MODULE / "README.md").read_text(encoding="utf-8").split("---")[1]
    found = re.search(rf"^{name}: *(\S+)$", head, flags=re.MULTILINE)
    assert found, f"metrics/cider/README.md: its front matter has no {name}"
    return found[1].strip("\"'")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The folder as a Space has it, in an environment of its own, started: its `python` and `url`."""
    version = front_matter("sdk_version")
    home = tmp_path_factory.mktemp("space")
    folder = home / "any-name"
    shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    python = home / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    install = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "-r", folder / "requirements.txt"]
    # selenium is for the test alone; the page must not need it.
    done = subprocess.run([*install, f"gradio=={version}", "selenium"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1"}
    environment |= {"HF_HOME": str(home / "hf"), "TMPDIR": str(home), "no_proxy": "127.0.0.1"}
    log = home / "log.txt"
    with log.open("w") as output:
        server = subprocess.Popen([python, "app.py"], cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, server, log)
        yield SimpleNamespace(python=python, url=url, log=log, environment=environment)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(url, server, log, seconds=120):
    for _ in range(seconds):
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(1)
    pytest.fail(f"the page did not start within {seconds} s: {log.read_text()[-3000:]}")


def _run(space, program, *arguments):
    command = [space.python, "-c", program, space.url, *arguments]
    run = subprocess.run(command, env=space.environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.split("RESULT")[1])


CLIENT = """
import json, sys
from gradio_client import Client, handle_file
url, calls = sys.argv[1], json.loads(sys.argv[2])
client = Client(url, verbose=False)
answers = {"": sorted(client.view_api(return_format="dict", print_info=False)["named_endpoints"])}
for name, (endpoint, arguments) in calls.items():
    files = {key: handle_file(value) for key, value in arguments.items() if key in FILES and value}
    try:
        given = {"file": None} if endpoint.endswith("lines") else {}
        answers[name] = client.predict(**{**given, **arguments, **files}, api_name=endpoint)
    except Exception as error:
        answers[name] = str(error)
    if endpoint.startswith("/score") and isinstance(answers[name], (list, tuple)):
        answers[name] = [*answers[name][:-1], json.load(open(answers[name][-1], encoding="utf-8"))]
print("RESULT" + json.dumps(answers))
""".replace("FILES", "('file', 'annotations', 'results', 'results_a', 'results_b')")


@pytest.mark.slow
def test_the_published_page_answers_by_name(space, tmp_path):
    rows, two = app.read_lines(app.example(app.ONE)), app.read_lines(app.example(app.TWO), app.TWO)
    annotations = {str(n): references for n, references in enumerate(rows.references)}
    results = [{str(n): caption for n, caption in enumerate(captions)} for captions in two.systems]
    annotations = write(tmp_path, "annotations.json", annotations)
    results = [write(tmp_path, f"results_{n}.json", captions) for n, captions in enumerate(results)]
    calls = {
        "example": ("/score_lines", {}),
        "file": ("/score_lines", {"file": write(tmp_path, "rows.jsonl", app.example(app.ONE)), "text": "not read"}),
        "options": ("/score_lines", {"scorers": ["cider"], "interval": False, "idf": "category", "floors": False}),
        "coco": ("/score_coco", {"annotations": annotations, "results": results[0]}),
        "compare": ("/compare_lines", {}),
        "compare coco": (
            "/compare_coco",
            {"annotations": annotations, "results_a": results[0], "results_b": results[1], "scorers": ["cider"]},
        ),
        "tokens": ("/tokens", {"caption": "The dog isn't here (now)."}),
        "bad line": ("/score_lines", {"text": GOOD + "\n<b>"}),
        "bad pair": ("/compare_lines", {"text": GOOD}),
        "no scorer": ("/score_lines", {"scorers": []}),
        "no file": ("/score_coco", {"annotations": None, "results": None}),
        "meteor": ("/score_lines", {"scorers": ["meteor"]}),
        "key": ("/score_coco", {"annotations": annotations, "results": write(tmp_path, "wrong.json", [{"id": 1}])}),
    }
    answers = _run(space, CLIENT, json.dumps(calls))
    assert answers[""] == ["/compare_coco", "/compare_lines", "/score_coco", "/score_lines", "/tokens"]

    expected = app.score_rows(METRIC, rows, ALL)
    notes, whole, categories, single, everything = answers["example"]
    assert (notes, everything) == (app.score_notes(expected), expected)
    tables = app.score_tables(expected, rows)
    assert [(table["headers"], table["data"]) for table in (whole, categories, single)] == [
        (table["headers"], table["data"]) for table in tables
    ]
    plain = score(rows.systems[0], rows.references, ALL, rows.categories, confidence=0.95, per_sample=True)
    assert plain.items() <= everything.items()
    assert answers["file"][-1] == expected
    assert answers["options"][-1] == app.score_rows(METRIC, rows, ["cider"], False, "category", False)
    assert answers["coco"][1]["data"] == whole["data"]
    assert answers["coco"][-1]["rows"] == [f"Image {n}" for n in range(len(rows.names))]

    table = app.compare_table(compare(*two.systems, two.references, ALL, two.categories), two)
    assert answers["compare"][1]["data"] == table["data"]
    assert answers["compare coco"][1]["data"] == table["data"][:1]
    assert answers["compare"][0] == answers["compare coco"][0] == app.verdict(*table["data"][0][2:])
    assert answers["tokens"] == ["the", "dog", "is", "n't", "here", "-lrb-", "now", "-rrb-"]

    assert answers["bad line"] == "Line 2 is not JSON: Expecting value: column 1 (char 0)."
    assert answers["bad pair"].startswith("Line 1 is {'prediction': 'a b'")
    assert answers["no scorer"].startswith("scorers is []")
    assert answers["no file"] == "A file is missing."
    assert "METEOR" in answers["meteor"] and "pycocoevalcap" in answers["meteor"]
    assert answers["key"] == "predictions[0] has no caption and no image_id, but ['id']."
    assert "Traceback" not in space.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("route", ["run", "api"])
def test_nothing_gets_past_the_queue(space, route):
    body = json.dumps({"data": ["a b"]}).encode()
    request = urllib.request.Request(
        f"{space.url}/gradio_api/{route}/tokens", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=30)


BROWSER = """
import json, sys, tempfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
url, driver = sys.argv[1:]
options = webdriver.ChromeOptions()
for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
             "disable-background-networking", "disable-component-update", "window-size=1280,1500",
             "user-data-dir=" + tempfile.mkdtemp()):
    options.add_argument("--" + flag)
options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
try:
    browser.get(url)
    wait = WebDriverWait(browser, 60)
    def shown(css, text):
        return [one for one in browser.find_elements(By.CSS_SELECTOR, css) if one.is_displayed() and one.text == text]
    def click(css, text):
        wait.until(lambda _: shown(css, text))[0].click()
    def body(text):
        wait.until(lambda _: text in browser.find_element(By.TAG_NAME, "body").text, text)
    click("button.primary", "Score")
    body("425.5 (316.0")
    click("button[role=tab]", "Compare")
    click("button.primary", "Compare")
    body("A is 216.7 points of CIDEr above B")
    click("button[role=tab]", "Tokens")
    click("button.primary", "Tokenize")
    body("-lrb-")
    click("button[role=tab]", "Score")
    click("button[role=tab]", "COCO files")
    click("button.primary", "Score")
    body("A file is missing.")
    events = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    print("RESULT" + json.dumps(sorted(one for one in asked if one.startswith(("http", "ws")))))
finally:
    browser.quit()
"""


@pytest.mark.slow
def test_the_published_page_in_a_browser(space):
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("no chromium and chromedriver on this machine")
    asked = _run(space, BROWSER, driver)
    assert asked
    assert [url for url in asked if not url.startswith(space.url)] == []
