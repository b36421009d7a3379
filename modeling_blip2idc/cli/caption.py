"""Captions of pairs, from the pipeline to the terminal or a file."""

import csv
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TextIO

from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars, tqdm
from transformers.utils import logging

from ..loading.load import load_idc
from ..pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline
from .pairs import WrongUse
from .pictures import replacing, write_heatmap

COLUMNS = ("id", "before", "after", "generated_text", "score", "changed", "error")
DIM, PLAIN = "\033[2m", "\033[0m"  # on a terminal


def quiet() -> None:
    """Show nothing of what transformers says while it loads weights; downloads keep their bars."""
    logging.set_verbosity_error()
    bars_wanted = not are_progress_bars_disabled()
    logging.disable_progress_bar()  # of loading weights, which is also shown where nobody watches
    if bars_wanted:
        enable_progress_bars()  # of downloads, and ours


def load_pipeline(
    model: str | None, revision: str | None, device: str | None, dtype: str | None, **options: Any
) -> ImageDifferenceCaptioningPipeline:
    """The pipeline that the options ask for, of which `None` is the default."""
    quiet()
    options = {name: value for name, value in options.items() if value is not None}
    loaded, processor = load_idc(model, revision=revision, **({"dtype": dtype} if dtype else {}))
    try:
        return ImageDifferenceCaptioningPipeline(
            model=loaded, processor=processor, task=TASK, device=device, **options
        )
    except (RuntimeError, AssertionError, ValueError) as error:  # torch has no one error for a missing device
        raise WrongUse(f"--device {device}: {error}") from error


def caption_pairs(
    pipe: ImageDifferenceCaptioningPipeline | None,
    pairs: list[dict],
    problems: list[dict],
    single: bool,
    batch_size: int,
    as_json: bool,
    output: str | None,
    heatmap: str | None,
) -> int:
    """
    Write captions as they come. Pairs that cannot be read are named on stderr; JSON and tables have them, too, with
    the column `error`.

    Args:
        pairs, problems, single: from [`~cli.pairs.collect_pairs`].
        output (`str`, *optional*): the file to write, NAME.partial.EXT until the end; by default stdout.

    Returns:
        `int`: number of pairs that failed.
    """
    inputs = ({key: pair[key] for key in ("before", "after", "prompt") if key in pair} for pair in pairs)
    results = pipe(inputs, batch_size=batch_size, on_error="return") if pairs else ()
    with ExitStack() as stack:
        file = sys.stdout
        if output is not None:
            beside = stack.enter_context(replacing(output, keep=True))
            file = stack.enter_context(beside.open("w", encoding="utf-8", newline=""))
        calibrated = pipe is not None and getattr(pipe.model.config, "not_sure_below", None) is not None
        write, failed = _writer(file, as_json, output or "", single, pairs, calibrated), len(problems)
        for problem in problems:
            _complain(problem)
            write(problem)
        with tqdm(total=len(pairs), unit="pair", disable=single or None) as bar:  # None: shown on a terminal only
            for index, (pair, (best, *_)) in enumerate(zip(pairs, results, strict=True)):
                if "error" in best:
                    best, failed = {"error": best["error"].removeprefix(f"row {index}: ")}, failed + 1
                with tqdm.external_write_mode():
                    if "error" in best:
                        _complain(pair | best)
                    write(pair | best)
                    file.flush()
                bar.update()
    if heatmap and not failed:
        write_heatmap(pipe, pairs[0]["before"], pairs[0]["after"], best, heatmap)
    if failed and not single:
        print(f"blip2idc: {failed} of {len(pairs) + len(problems)} pairs failed", file=sys.stderr)
    return failed


def _complain(row: dict) -> None:
    said = f"{row['id']}: {row['error']}" if "id" in row else row["error"]
    print("blip2idc:", _printable(said), file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    """On one line: the names of files may hold what moves the cursor of a terminal, or what is not Unicode."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _unicode(row: dict) -> dict:
    return {k: v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for k, v in row.items()}


def _writer(
    file: TextIO, as_json: bool, name: str, single: bool, pairs: list[dict], calibrated: bool
) -> Callable[[dict], Any]:
    """What writes one row to `file`, in the form that the options or its name say."""
    if as_json or name.lower().endswith((".json", ".jsonl")):
        return lambda row: print(json.dumps(_unicode(row)), file=file)
    if name.lower().endswith((".csv", ".tsv")):
        dialect = "excel-tab" if name.lower().endswith(".tsv") else "excel"
        columns = (*COLUMNS, "sure") if calibrated else COLUMNS
        table = csv.DictWriter(file, columns, extrasaction="ignore", dialect=dialect)
        table.writeheader()
        return lambda row: table.writerow(_unicode(row))
    width = min(max((len(_printable(pair.get("id", ""))) for pair in pairs), default=0), 40)

    def line(row: dict) -> None:
        if "error" in row:
            return
        said = _printable(row["generated_text"])
        if not row.get("sure", True):
            said = f"not sure: {DIM}{said}{PLAIN}" if file.isatty() else f"not sure: {said}"
        if single:
            print(f"{said}\nconfidence {row['score']:.2f}", file=file)
        else:
            print(f"{_printable(row['id']):<{width}}  {row['score']:.2f}  {said}", file=file)

    return line
