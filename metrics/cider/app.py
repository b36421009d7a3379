"""
The page of the metric: `python app.py` shows it in a browser. What turns input into rows and results into tables needs
neither gradio nor `evaluate`, and importing this file starts nothing.
"""

import functools
import html
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

# One job runs at a time; these keep the longest one at a few minutes on two cores.
MAX_BYTES, MAX_ROWS, MAX_CATEGORIES = 20_000_000, 50_000, 100
MAX_CAPTIONS, MAX_REFERENCES, MAX_CHARACTERS = 300_000, 50, 2_000
SHOWN = 200  # single captions

SCORERS = [("CIDEr", "cider"), ("BLEU", "bleu"), ("ROUGE-L", "rouge_l"), ("METEOR (needs Java)", "meteor")]
BLEU = {f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)}
TITLES = {"cider": "CIDEr", **BLEU, "rouge_l": "ROUGE-L", "meteor": "METEOR"}
DEFAULT = ["cider", "bleu", "rouge_l"]
ONE, TWO = ("prediction",), ("prediction_a", "prediction_b")
# Category, references, and the captions of two systems.
EXAMPLE = (
    ("added", ["a blue cube was added", "there is a new blue cube"], "a blue cube was added", "a cube was added"),
    ("added", ["a man is by the car now", "someone came to the car"], "a man came to the car", "there is a man"),
    ("removed", ["the red ball is gone", "the ball disappeared"], "the red ball is gone", "the ball is gone"),
    ("removed", ["two people left", "the people are no longer there"], "the people left", "a car left"),
    ("none", ["nothing changed", "there is no change"], "there is no change", "there is no change"),
    ("none", ["the images are the same", "nothing changed"], "nothing changed", "the ball is gone"),
)


class Rows(NamedTuple):
    """What messages call each row; the captions of each system, the references and, where given, the categories."""

    names: list[str]
    systems: list[list[str]]
    references: list[list[str]]
    categories: list[str] | None = None


def example(columns):
    """The example as JSON lines."""
    keys = ("category", "references", *columns)
    return "\n".join(json.dumps(dict(zip(keys, row, strict=False))) for row in EXAMPLE)


def read_text(path):
    if path is None:
        raise ValueError("A file is missing.")
    check_limit(os.path.getsize(path), MAX_BYTES, f"bytes in {Path(path).name}")
    return Path(path).read_text(encoding="utf-8-sig")


def read_json(text, name):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {str(error).replace('line 1 ', '')}.") from None


def read_lines(text, columns=ONE):
    """`Rows` from JSON lines with `columns`, `references` and, in all or none, `category`; errors name the line."""
    check_limit(len(text), MAX_BYTES, "characters")
    # Not `splitlines`: JSON allows U+2028 in a string.
    lines = {f"Line {number}": line for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    records = {name: read_json(line, name) for name, line in lines.items()}
    needed = [*columns, "references"]
    if any(isinstance(record, dict) and "category" in record for record in records.values()):
        needed.append("category")
    for name, record in records.items():
        if not isinstance(record, dict) or not record.keys() >= set(needed):
            raise ValueError(f"{name} is {record!r:.60}; give an object with {', '.join(needed)}.")
    table = [[record[column] for record in records.values()] for column in needed]
    return check(Rows(list(records), table[: len(columns)], *table[len(columns) :]), columns)


def read_coco(align, annotations, *results):
    """`Rows` from the paths of COCO's files: the annotations and, for each system, its results."""
    annotations, *results = (read_json(read_text(path), Path(path).name) for path in (annotations, *results))
    aligned = [align(result, annotations) for result in results]
    ids, _, references = aligned[0]
    rows = Rows([f"Image {name}" for name in ids], [captions for _, captions, _ in aligned], references)
    return check(rows, ONE if len(results) == 1 else TWO)


def check(rows, columns):
    check_limit(len(rows.names), MAX_ROWS, "rows")
    if not rows.names:
        raise ValueError("There are no rows.")
    for row, name in enumerate(rows.names):
        references = rows.references[row]
        if not isinstance(references, list) or not references:
            raise TypeError(f"{name}: references is {references!r:.60}; give a list of at least one caption.")
        check_limit(len(references), MAX_REFERENCES, f"references ({name})")
        texts = {column: captions[row] for column, captions in zip(columns, rows.systems, strict=True)}
        texts |= {f"references[{number}]": caption for number, caption in enumerate(references)}
        texts |= {"category": rows.categories[row]} if rows.categories else {}
        for place, text in texts.items():
            check_caption(text, f"{name}: {place}")
    check_limit(sum(map(len, rows.references)), MAX_CAPTIONS, "references")
    check_limit(len(set(rows.categories or ())), MAX_CATEGORIES, "categories")
    return rows


def check_caption(text, name):
    if not isinstance(text, str):
        raise TypeError(f"{name} is {text!r:.60}, not a string.")
    check_limit(len(text), MAX_CHARACTERS, f"characters ({name})")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{name} has a lone surrogate, which is no text.")


def check_limit(number, most, what):
    if number > most:
        raise ValueError(f"{number:,} {what} are too many; the limit is {most:,}.")


def score_rows(metric, rows, scorers, interval=True, idf="corpus", floors=True):
    """
    What `metric.compute` returns with the name of each row (`rows`), the `warnings` and, with `floors`, what its
    `constant_caption` and, where images have several references, its `leave_one_out` return.
    """
    options = {"scorers": scorers, "confidence": 0.95 if interval else None}
    more = {"categories": rows.categories, "idf": idf, "per_sample": True}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = metric.compute(predictions=rows.systems[0], references=rows.references, **options, **more)
        if floors:
            result["constant_caption"] = metric.constant_caption(rows.references, **options)
        if floors and any(len(references) > 1 for references in rows.references):
            result["leave_one_out"] = metric.leave_one_out(rows.references, **options)
    notes = dict.fromkeys(str(one.message) for one in caught if one.category is UserWarning)
    return {"rows": rows.names, **result, "warnings": list(notes)}


def score_tables(result, rows):
    """Three tables: the scores with their floors, the categories, and single captions from the lowest score up."""
    keys = [key for key in TITLES if key in result]
    floors = {"Best single caption": "constant_caption", "People": "leave_one_out"}
    columns = {"Your captions": result} | {title: result[name] for title, name in floors.items() if name in result}
    whole = [[TITLES[key], *(with_interval(one, key) for one in columns.values())] for key in keys]
    parts = result.get("by_category", {}).items()
    by_category = [[name, part["count"], *(f"{100 * part[key]:.1f}" for key in keys)] for name, part in parts]
    key = "cider" if "cider" in keys else keys[-1]
    samples = [round(100 * sample, 1) for sample in result[f"{key}_per_sample"]]
    lowest = sorted(range(len(samples)), key=samples.__getitem__)[:SHOWN]
    single = [[samples[n], rows.names[n], rows.systems[0][n], " | ".join(rows.references[n])] for n in lowest]
    return (
        {"headers": ["", *columns], "data": whole},
        {"headers": ["Category", "Images", *(TITLES[key] for key in keys)], "data": by_category},
        {"headers": [TITLES[key], "", "Caption", "References"], "data": single},
    )


def score_notes(result):
    notes = [f"{len(result['rows']):,} images."]
    if best := result.get("constant_caption"):
        notes[0] += f" The best single caption for all of them is “{best['caption']}”."
    if people := result.get("leave_one_out"):
        notes[0] += f" People: each reference against the others, of {people['count']:,} images that have several."
    return "\n\n".join([*notes, *result["warnings"]])


def with_interval(result, key):
    ends = result.get(f"{key}_interval")
    return f"{100 * result[key]:.1f}" + (f" ({100 * ends[0]:.1f} – {100 * ends[1]:.1f})" if ends else "")


def compare_table(result, rows):
    """A line for each score of all images, and of each category."""
    lines = []
    for name, part in [("All", {**result, "count": len(rows.names)}), *result.get("by_category", {}).items()]:
        for key in (key for key in TITLES if key in part):
            a, b, difference = (100 * part[key][what] for what in ("a", "b", "difference"))
            lines.append([name, part["count"], TITLES[key], f"{a:.1f}", f"{b:.1f}", f"{difference:+.1f}", "", ""])
            if part[key]["interval"]:  # A single image has none, and its p says nothing.
                low, high = (100 * end for end in part[key]["interval"])
                lines[-1][-2:] = f"{low:+.1f} to {high:+.1f}", f"{part[key]['p']:.3f}"
    return {"headers": ["Category", "Images", "Score", "A", "B", "A − B", "95 % interval", "p"], "data": lines}


def verdict(title, a, b, difference, interval, p):
    """One sentence on what the end of a line of the comparison says."""
    if not interval:
        return "A single image cannot show whether a difference is more than chance."
    text = f"A is {difference[1:]} points of {title} {'above' if difference[0] == '+' else 'below'} B, which chance "
    text += "hardly explains" if float(p) < 0.05 else "may explain"
    return f"{text} (95 % interval of the difference {interval}, p = {p})."


def build():
    """The page, a `gradio.Blocks` whose `launch` starts the server."""
    import evaluate
    import gradio as gr

    metric = evaluate.load(str(Path(__file__).with_name("cider.py")), keep_in_memory=True)
    folder = tempfile.TemporaryDirectory()

    def score(rows, *options):
        result = score_rows(metric, rows, *options)
        download = Path(folder.name, "scores.json")
        download.write_text(json.dumps(result, indent=1), encoding="utf-8")
        return score_notes(result), *score_tables(result, rows), str(download)

    def compare(rows, scorers):
        result = metric.compare(*rows.systems, rows.references, scorers=scorers, categories=rows.categories)
        table = compare_table(result, rows)
        return verdict(*table["data"][0][2:]), table

    def score_lines(text, file, scorers, interval, idf, floors):
        return score(read_lines(read_text(file) if file else text), scorers, interval, idf, floors)

    def score_coco(annotations, results, scorers, interval, idf, floors):
        return score(read_coco(metric.align, annotations, results), scorers, interval, idf, floors)

    def compare_lines(text, file, scorers):
        return compare(read_lines(read_text(file) if file else text, TWO), scorers)

    def compare_coco(annotations, results_a, results_b, scorers):
        return compare(read_coco(metric.align, annotations, results_a, results_b), scorers)

    def tokens(caption):
        check_caption(caption, "The caption")
        return metric.tokenize(caption)

    def on_click(button, function, inputs, outputs):
        @functools.wraps(function)
        def run(*values):
            try:
                return function(*values)
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                text = str(error.args[0] if isinstance(error, KeyError) else error)
                raise gr.Error(html.escape(text, quote=False), duration=30, print_exception=False) from None

        # One at a time, for all write the same file.
        options = {"concurrency_limit": 1, "concurrency_id": "metric", "show_progress_on": outputs[:2][-1]}
        button.click(run, inputs, outputs, api_name=function.__name__, **options)

    def sources(columns, results, verb):
        """Two ways to give rows: the inputs and the button of each."""
        with gr.Tab("JSON lines"):
            label = f"A line for each image, with {', '.join(columns)}, references and, if you like, category"
            text = gr.Textbox(example(columns), label=label, lines=6, max_lines=12)
            lines = [text, gr.File(label="A file to read instead", height=140)], gr.Button(verb, variant="primary")
        with gr.Tab("COCO files"):
            with gr.Row():
                files = [gr.File(label=label, height=140) for label in ("Annotations", *results)]
            coco = files, gr.Button(verb, variant="primary")
        return lines, coco

    with gr.Blocks(title="CIDEr", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(
            "# CIDEr-D, BLEU, ROUGE-L and METEOR of captions\n"
            "As pycocoevalcap computes them. Scores are ×100, as papers print them; in brackets, 95 % intervals."
        )
        with gr.Tab("Score"):
            with gr.Row():
                scorers = gr.CheckboxGroup(SCORERS, value=DEFAULT, label="Scores")
                idf = gr.Radio(["corpus", "category"], value="corpus", label="Document frequencies of the categories")
            with gr.Row():
                interval = gr.Checkbox(True, label="95 % intervals")
                floors = gr.Checkbox(True, label="Also the best single caption, and people")
            lines, coco = sources(ONE, ["Results"], "Score")
            outputs = [
                gr.Markdown(label="Notes"),
                gr.Dataframe(headers=["", "Your captions"], label="All images"),
                gr.Dataframe(headers=["Category", "Images"], label="Categories"),
                gr.Dataframe(headers=["Caption", "References"], label="Single captions, lowest first", wrap=True),
                gr.DownloadButton("Download all numbers (JSON)"),
            ]
            on_click(lines[1], score_lines, [*lines[0], scorers, interval, idf, floors], outputs)
            on_click(coco[1], score_coco, [*coco[0], scorers, interval, idf, floors], outputs)
        with gr.Tab("Compare"):
            scorers = gr.CheckboxGroup(SCORERS, value=DEFAULT, label="Scores")
            lines, coco = sources(TWO, ["Results of A", "Results of B"], "Compare")
            outputs = [gr.Markdown(label="Verdict"), gr.Dataframe(headers=["A", "B"], label="Comparison")]
            on_click(lines[1], compare_lines, [*lines[0], scorers], outputs)
            on_click(coco[1], compare_coco, [*coco[0], scorers], outputs)
        with gr.Tab("Tokens"):
            caption = gr.Textbox("The woman's coat isn't red (it was blue).", label="Caption")
            on_click(gr.Button("Tokenize", variant="primary"), tokens, [caption], [gr.JSON(label="Tokens")])
    return page.queue(max_size=16, api_open=False)


def main():
    from gradio.themes import Default

    # Fonts of the machine: the usual ones come from another server.
    theme = Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    build().launch(theme=theme, max_file_size=MAX_BYTES, ssr_mode=False, footer_links=["api"])


if __name__ == "__main__":
    main()
