"""`blip2idc demo`: the bundled pairs, captioned, as a table and as one HTML file that needs nothing else."""

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment

from ..hub.contact_sheet import contact_sheet
from ..image_utils_blip2idc import load_image
from ..loading.examples import caption_examples, load_examples, table
from .pictures import replacing

TEMPLATE = Path(__file__).with_name("demo_page.html")


def run_demo(pipe: Any, model: str, out: str, picture: str | None) -> None:
    """Caption the bundled pairs, print a table and write the page and, where asked for, the picture."""
    rows: list[dict] = []
    captioned = caption_examples(pipe, load_examples(), batch_size=6)
    for line in table(rows.append(row) or row for row in captioned):
        print(line, flush=True)
    exact = sum(row["exact_reference"] is not None for row in rows)
    subtitle = (
        f"Captions by {model}, each beside what a person could have said. {exact} of {len(rows)} captions equal one "
        "of their references word for word; others may be right in other words, or wrong."
    )
    with replacing(out) as beside:
        beside.write_text(render_page(rows, "What changed?", subtitle), encoding="utf-8")
    if picture:
        with replacing(picture) as beside:
            contact_sheet(rows).save(beside)
    print(f"\n{exact} of {len(rows)} captions equal a reference; the pairs are shown in {out}")


def render_page(rows: Sequence[dict], title: str, subtitle: str) -> str:
    """Pairs as from [`~loading.examples.caption_examples`] as one HTML page that loads nothing."""
    shown = [row | {side: _shown(row[side], side) for side in ("before", "after")} for row in rows]
    environment = Environment(autoescape=True, trim_blocks=True, keep_trailing_newline=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(rows=shown, title=title, subtitle=subtitle)


def _shown(source: Any, side: str) -> dict[str, Any]:
    image, buffer = load_image(source, side), BytesIO()
    image.save(buffer, format="PNG")
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return {"uri": uri, "width": image.width, "height": image.height}
