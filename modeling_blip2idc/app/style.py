"""How the page looks: colors, style sheet, and the HTML of what it says."""

import base64
import html
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from ..image_utils_blip2idc import load_image

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACE_FONTS = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")

CSS = """\
.gradio-container { --good: #17723f; --good-page: #e2f4e9; --bad: #a3261b; --bad-page: #fdecea; --change: #9a4b00;
  --change-page: #fdf0df; --card: #ffffff; --line: #dfe3e8; --ink: #1b1f24; --soft: #57606b; --accent: #2f5fd0;
  --edge: #c7cdd5; }
.dark .gradio-container, .gradio-container.dark { --good: #76d49b; --good-page: #173325; --bad: #ff9d92;
  --bad-page: #3a1a17; --change: #ffbe73; --change-page: #3a2811; --card: #1a1e23; --line: #2c323a; --ink: #e7eaee;
  --soft: #9aa4b0; --accent: #8db0ff; --edge: #3c444d; }
.gradio-container > .main { max-width: 68rem !important; margin: 0 auto !important;
  padding: clamp(1.25rem, 4vw, 3rem) clamp(.9rem, 4vw, 2rem) 2rem !important; }
#head h1 { margin: 0; font-size: clamp(1.75rem, 5vw, 2.5rem); line-height: 1.15; letter-spacing: -.025em;
  font-weight: 700; color: var(--ink); }
#head p { margin: .45rem 0 0; color: var(--soft); font-size: 1.05rem; line-height: 1.5; max-width: 44rem; }
.gradio-container .html-container { padding: 0 !important; }
.gradio-container .prose { max-width: none; }
#pair, #where, #choice { gap: 1rem; }
#pair .block, #where .block, #swipe { border-radius: .9rem; }
#pair img, #where img { width: 100% !important; height: 100% !important; object-fit: contain !important; }
#say { min-height: 3.25rem; font-size: 1.05rem; font-weight: 600; }
.answer, .waiting, .trouble { border: 1px solid var(--line); border-radius: .9rem; background: var(--card);
  padding: clamp(1.1rem, 3vw, 1.75rem); color: var(--ink); }
.answer .said { margin: 0; font-size: clamp(1.4rem, 4.2vw, 2.05rem); line-height: 1.25; letter-spacing: -.015em;
  font-weight: 650; text-wrap: balance; overflow-wrap: anywhere; color: var(--ink); }
.answer .said::first-letter { text-transform: uppercase; }
.facts { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem 1.4rem; margin-top: 1.1rem; }
.chip { display: inline-flex; align-items: center; gap: .45rem; padding: .22rem .8rem; border-radius: 2rem;
  font-weight: 600; font-size: .92rem; background: var(--change-page); color: var(--change); }
.chip.same { background: var(--good-page); color: var(--good); }
.sure { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .6rem; font-size: .92rem; color: var(--soft); }
.sure b { color: var(--ink); font-variant-numeric: tabular-nums; font-weight: 650; }
.bar { width: 7.5rem; height: .5rem; border-radius: 1rem; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: 1rem; background: var(--accent); }
.note { margin: .9rem 0 0; font-size: .88rem; line-height: 1.5; color: var(--soft); max-width: 46rem; }
.waiting { border: 1.5px dashed var(--edge); background: transparent; text-align: center; color: var(--soft);
  padding: clamp(1.75rem, 6vw, 3rem) 1.5rem; }
.waiting b { display: block; color: var(--ink); font-size: 1.1rem; font-weight: 600; margin-bottom: .3rem; }
.trouble { background: var(--bad-page); border-color: transparent; color: var(--bad); overflow-wrap: anywhere; }
.trouble b { display: block; margin-bottom: .25rem; font-size: 1.05rem; color: var(--bad); }
.part h2, .examples h2 { font-size: 1.15rem; font-weight: 650; color: var(--ink); letter-spacing: -.01em; }
.part h2 { margin: .4rem 0 0; }
.part p { margin: .2rem 0 0; color: var(--soft); font-size: .92rem; line-height: 1.5; max-width: 46rem; }
.scale { display: inline-block; width: 6rem; height: .55rem; border-radius: 1rem; vertical-align: .02em;
  margin: 0 .4rem; background: linear-gradient(90deg, #000004, #550f6d, #ba3655, #f98c0a, #fcffa4); }
.examples h2 { margin: .4rem 0 .7rem; }
.examples ul { display: grid; grid-template-columns: repeat(6, 1fr); gap: .75rem; margin: 0; padding: 0;
  list-style: none; }
.examples li { margin: 0; padding: 0; }
.examples button { width: 100%; padding: .45rem .45rem .4rem; border: 1px solid var(--line); border-radius: .8rem;
  background: var(--card); color: var(--soft); font: inherit; font-size: .85rem; cursor: pointer;
  transition: border-color .15s, box-shadow .15s; }
.examples button:hover { border-color: var(--accent); color: var(--ink); box-shadow: 0 2px 12px rgb(0 0 0 / .08); }
.examples span { display: grid; grid-template-columns: 1fr 1fr; gap: .25rem; margin-bottom: .35rem; }
.examples img { display: block; width: 100%; height: auto; margin: 0; border-radius: .4rem; }
#about { margin-top: 1rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
#about p { color: var(--soft); font-size: .92rem; line-height: 1.55; margin: 0 0 .6rem; max-width: 46rem; }
#about a { padding: 0; margin: 0; color: var(--accent); text-decoration: underline; text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--accent) !important; outline-offset: 2px; }
footer .divider { display: none; }
@media (max-width: 900px) { .examples ul { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 640px) {
  .examples ul { grid-template-columns: 1fr 1fr; }
  #pair, #where { flex-direction: column; }
  #choice { flex-direction: column; }
  #pair > *, #where > *, #choice > * { width: 100%; flex: none; min-width: 0 !important; }
  #pair > .block { height: 15rem !important; }
  #where > .block { height: auto !important; aspect-ratio: 3 / 2; }
}
@media (prefers-reduced-motion: reduce) { * { animation-duration: .01ms !important; transition: none !important; } }
"""

HEAD = """\
<h1>What changed?</h1>
<p>Give two images of one scene. A model looks at both and says in one sentence what is different,
and where.</p>"""

WAITING = """\
<div class="waiting"><b>No pair yet</b>Choose an image before and one after, or take one of the examples.</div>"""

WHERE = """\
<h2>Where it looked</h2>
<p>What the caption rests on in each image, faint <span class="scale" role="img"
aria-label="color scale from dark to bright"></span> strong. A guide for the eye, not a measurement.</p>"""

SWIPE = """\
<h2>Before against after</h2>
<p>Drag the line, or move it with the arrow keys.</p>"""

ABOUT = """\
<p>The embedded <b>mini</b> model was trained on rendered scenes of a few colored shapes, such as the examples. It
knows nothing else: <b>on photographs its sentences mean nothing</b>. A caption is no proof that an image was, or was
not, manipulated. Models miss small changes, and name changes that are not there.</p>
<p>At most {megabytes} MB and {megapixels} megapixels for each image. Images stay on the machine that serves this page
and are deleted within two hours. Programs can ask, too: <a href="?view=api">how to call it</a>.</p>"""

API_DESCRIPTION = """\
Say what changed between two images. Returns the answer, {"caption": what changed, "confidence": how probable the model
finds its own words (0 to 1, not calibrated), "changed": whether the caption reports a change, "model": who said it};
and both images under a heat map of what the caption rests on, or null where nothing changed."""

KINDS = {"color": "Color", "texture": "Material", "move": "Moved", "add": "Added", "drop": "Gone", "none": "The same"}

# What gradio's components lack: descriptions of images, and arrow keys for the line between two of them.
ACCESS = """\
() => {
  const names = {before: "Image before", after: "Image after", "heat-before": "Heat map over the image before",
    "heat-after": "Heat map over the image after", swipe: "Image before and image after, one over the other"};
  const drag = (handle, step) => {
    const box = handle.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    [["mousedown", handle, 0], ["mousemove", window, step], ["mouseup", window, step]].forEach(([type, target, by]) =>
      target.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, view: window, clientX: x + by,
        clientY: y})));
  };
  const complete = () => {
    Object.entries(names).forEach(([id, name]) =>
      document.querySelectorAll(`#${id} img`).forEach((image) => { image.alt = name; }));
    document.querySelectorAll("#swipe [data-testid=slider]:not([tabindex])").forEach((handle) => {
      Object.entries({tabindex: 0, role: "separator", "aria-label": "Line between before and after",
        "aria-orientation": "vertical"}).forEach(([name, value]) => handle.setAttribute(name, value));
      handle.addEventListener("keydown", (event) => {
        const step = {ArrowLeft: -20, ArrowRight: 20}[event.key];
        if (step) { event.preventDefault(); drag(handle, step); }
      });
    });
  };
  new MutationObserver(complete).observe(document.body, {childList: true, subtree: true});
  complete();
}"""

# Tells the page which example was clicked.
CLICKED = """\
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", {example: Number(button.value)});
});"""


def theme(themes: Any) -> Any:
    """The theme, a `Base` of `gradio.themes` whose fonts are those of the reader's machine."""
    blue = themes.Color(
        "#f0f5ff", "#dfe9ff", "#c2d5ff", "#9bbaff", "#6a95f5", "#4877e4", "#2f5fd0", "#274eac", "#213f87", "#1b3267",
        "#121f40",
    )  # fmt: skip
    gray = themes.Color(
        "#f8f9fa", "#f1f3f5", "#dfe3e8", "#c7cdd5", "#9aa4b0", "#6f7a86", "#57606b", "#3c444d", "#2c323a", "#1a1e23",
        "#111417",
    )  # fmt: skip
    look = themes.Base(
        primary_hue=blue, secondary_hue=blue, neutral_hue=gray, font=SYSTEM_FONTS, font_mono=MONOSPACE_FONTS,
        radius_size=themes.sizes.radius_lg,
    )  # fmt: skip
    return look.set(
        body_background_fill="#f5f6f8",
        body_background_fill_dark="#111417",
        body_text_color="#1b1f24",
        body_text_color_dark="#e7eaee",
        body_text_color_subdued="#57606b",
        body_text_color_subdued_dark="#9aa4b0",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1a1e23",
        block_border_color="#dfe3e8",
        block_border_color_dark="#2c323a",
        block_shadow="none",
        block_label_background_fill="#ffffff",
        block_label_background_fill_dark="#1a1e23",
        block_label_text_color="#57606b",
        block_label_text_color_dark="#9aa4b0",
        button_primary_background_fill="#2f5fd0",
        button_primary_background_fill_dark="#4877e4",
        button_primary_background_fill_hover="#274eac",
        button_primary_background_fill_hover_dark="#5b87ee",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_large_radius=".7rem",
    )


def examples_html(examples: Sequence[Mapping[str, Any]]) -> str:
    """
    Buttons with the images of example pairs, which they carry inside.

    Args:
        examples (`Sequence[dict]`): as from [`~loading.examples.load_examples`].

    Returns:
        `str`: HTML; the value of each button is the number of its pair.
    """
    items = []
    for number, example in enumerate(examples):
        images = "".join(
            f'<img src="{_data_uri(example[side])}" alt="{side}" width="144" height="96">'
            for side in ("before", "after")
        )
        kind = html.escape(KINDS.get(example["category"], example["category"]))
        items.append(f'<li><button type="button" value="{number}"><span>{images}</span>{kind}</button></li>')
    return f'<div class="examples"><h2>Or try one of these</h2><ul>{"".join(items)}</ul></div>'


def _data_uri(path: str) -> str:
    buffer = BytesIO()
    load_image(path).save(buffer, format="JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def error_html(message: str) -> str:
    """The card of what went wrong; the message is escaped."""
    return f'<div class="trouble" role="alert"><b>That did not work</b>{html.escape(message)}</div>'


def answer_html(answer: Mapping[str, Any]) -> str:
    """
    The card of an answer.

    Args:
        answer (`dict`): as [`~app.captions.Answer.as_json`] gives it.

    Returns:
        `str`: HTML; everything that comes from people or models is escaped.
    """
    percent = 100 * answer["confidence"]
    chip = '<span class="chip">&#9679; Something changed</span>'
    if not answer["changed"]:
        chip = '<span class="chip same">&#10003; Nothing changed</span>'
    return f"""\
<div class="answer" role="status">
<p class="said">{html.escape(answer["caption"]) or "(the model said nothing)"}</p>
<div class="facts">{chip}
<span class="sure">Confidence <span class="bar" aria-hidden="true"><i style="width:{percent:.0f}%"></i></span>
<b>{percent:.0f} %</b></span></div>
<p class="note">Said by {html.escape(answer["model"])}. The confidence is how probable the model finds its own words.
It is not calibrated: 90 % does not mean right nine times in ten.</p>
</div>"""
