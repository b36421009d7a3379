"""A page of image pairs with their captions and references: one HTML file that needs nothing else."""

import base64
import html
from collections.abc import Sequence
from io import BytesIO
from string import Template

from ..image_utils_blip2idc import load_image

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --page: #f5f6f8; --card: #ffffff; --text: #1b1f24; --soft: #5c6570;
  --line: #dfe3e8; --accent: #2f5fd0; --good: #17723f; --good-page: #e2f4e9; --chip: #eceff3; }
@media (prefers-color-scheme: dark) { :root { --page: #111417; --card: #1a1e23; --text: #e7eaee; --soft: #9aa4b0;
  --line: #2c323a; --accent: #8db0ff; --good: #76d49b; --good-page: #173325; --chip: #272d35; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; }
h1 { margin: 0 0 .25rem; font-size: 1.75rem; letter-spacing: -.01em; }
header p { margin: 0 0 1.75rem; color: var(--soft); max-width: 50rem; }
main { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); }
article { display: flex; flex-direction: column; padding: 1.1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem; }
.images { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; border-radius: .4rem; }
figcaption { margin-top: .2rem; color: var(--soft); font-size: .8rem; }
h2 { margin: .7rem 0 .5rem; font-size: 1.15rem; line-height: 1.35; text-wrap: balance; }
.facts { display: flex; flex-wrap: wrap; gap: .45rem; align-items: center; font-size: .85rem; color: var(--soft); }
.chip { padding: .05rem .6rem; border-radius: 1rem; background: var(--chip); color: var(--text); }
.exact { background: var(--good-page); color: var(--good); }
meter { width: 5rem; height: .8rem; vertical-align: -.05rem; }
h3 { margin: .9rem 0 .2rem; font-size: .8rem; font-weight: 600; color: var(--soft); }
ul { margin: 0; padding-left: 1.1rem; font-size: .92rem; }
li.said { color: var(--good); font-weight: 600; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$subtitle</p>
</header>
<main>
$cards
</main>
</body>
</html>
""")

CARD = Template("""\
<article>
<div class="images">
<figure><img src="$before" alt="before" width="$width" height="$height"><figcaption>before</figcaption></figure>
<figure><img src="$after" alt="after" width="$width" height="$height"><figcaption>after</figcaption></figure>
</div>
<h2>$caption</h2>
<div class="facts">$facts</div>
<h3>References</h3>
<ul>
$references
</ul>
</article>""")


def render_page(rows: Sequence[dict], title: str, subtitle: str) -> str:
    """
    Pairs, captions and references as one HTML page with the images inside.

    Args:
        rows (`Sequence[dict]`):
            Pairs as from [`~loading.examples.caption_examples`]: `before` and `after` (anything that `load_image`
            takes), `generated_text`, `score`, `category`, `captions` (the references), `exact_reference` (that
            the caption equals, or `None`).
        title (`str`):
            Heading and title of the page.
        subtitle (`str`):
            The line below it.

    Returns:
        `str`: the page. It follows the reader's light or dark setting, and loads nothing.
    """
    return PAGE.substitute(
        title=html.escape(title), subtitle=html.escape(subtitle), cards="\n".join(_card(row) for row in rows)
    )


def _card(row: dict) -> str:
    images = {side: load_image(row[side], side) for side in ("before", "after")}
    exact = row["exact_reference"]
    verdict = '<span class="chip exact">&#10003; equals a reference</span>'
    if exact is None:
        verdict = '<span class="chip">not word for word a reference</span>'
    facts = [
        f'<span class="chip">{html.escape(row["category"])}</span>',
        verdict,
        f'<span>confidence <meter min="0" max="1" value="{row["score"]:.4f}"></meter> {row["score"]:.2f}</span>',
    ]
    references = []
    for reference in row["captions"]:
        mark = ' class="said"' if reference == exact else ""
        references.append(f"<li{mark}>{html.escape(reference)}</li>")
    return CARD.substitute(
        before=_data_uri(images["before"]),
        after=_data_uri(images["after"]),
        width=images["before"].width,
        height=images["before"].height,
        caption=html.escape(row["generated_text"]) or "(empty)",
        facts="\n".join(facts),
        references="\n".join(references),
    )


def _data_uri(image) -> str:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
