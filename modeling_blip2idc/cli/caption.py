"""What the `blip2idc` command does, once its arguments are read."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .pairs import LAYOUTS, find_pairs


class Unusable(Exception):
    """What the command cannot work with at all. Its message is for the user."""


def positive(text: str) -> int:
    """An argument's value: a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def run_captions(args: argparse.Namespace) -> int:
    """
    Caption a pair or folders of pairs; results go to stdout as they come, bad pairs to stderr.

    Args:
        args (`argparse.Namespace`):
            From [`~__main__.captions_parser`].

    Returns:
        `int`: 0 if all pairs were captioned, 1 if some failed.

    Raises:
        Unusable: if there is no pair, or the model or device cannot be used.
    """
    pairs, problems, single = collect_pairs(args.paths)
    if args.heatmap and not single:
        raise Unusable("--heatmap draws one pair: give two images")
    for problem in problems:
        _complain(problem)
    failed = len(problems)
    if pairs:
        write = _json_line if args.json else _sentence if single else _table_line(pairs)
        pipe = load_pipeline(args)
        failed += _caption(pairs, pipe, write, args.batch_size, progress=not single)
        if args.heatmap and not failed:
            _draw_heatmap(pipe, pairs[0], args.heatmap)
    if failed and not single:
        print(f"blip2idc: {failed} of {len(pairs) + len(problems)} pairs failed", file=sys.stderr)
    return 1 if failed else 0


def _draw_heatmap(pipe: Callable, pair: dict, out: str) -> None:
    from .heatmap_file import write_heatmap

    try:
        write_heatmap(pipe, pair["before"], pair["after"], out)
    except (OSError, ValueError) as error:
        raise Unusable(f"--heatmap: {error}") from error


def run_demo(args: argparse.Namespace) -> int:
    """
    Caption the bundled pairs, print a table and write the page.

    Args:
        args (`argparse.Namespace`):
            From [`~__main__.demo_parser`].

    Returns:
        `int`: 0.

    Raises:
        Unusable: if the model or device cannot be used, or the page cannot be written.
    """
    from ..loading.examples import caption_examples, load_examples, table
    from .demo_page import render_page

    for name, given in (("--out", args.out), ("--picture", args.picture)):
        path = Path(given or ".")
        if given and (path.is_dir() or not path.parent.is_dir()):
            raise Unusable(f"{name} {path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}")
    out = Path(args.out)
    pipe, rows = load_pipeline(args), []

    def captioned() -> Iterator[dict]:
        for row in caption_examples(pipe, load_examples(), batch_size=args.batch_size):
            rows.append(row)
            yield row

    for line in table(captioned()):
        print(line, flush=True)
    exact = sum(row["exact_reference"] is not None for row in rows)
    model = args.model or "the embedded model"
    subtitle = (
        f"Captions by {model}, each beside what a person could have said. {exact} of {len(rows)} captions equal one "
        "of their references word for word; others may be right in other words, or wrong."
    )
    try:
        out.write_text(render_page(rows, "What changed?", subtitle), encoding="utf-8")
    except OSError as error:
        raise Unusable(f"--out {out}: {error.strerror}") from error
    if args.picture:
        from ..hub.contact_sheet import contact_sheet

        try:
            contact_sheet(rows).save(args.picture)
        except (OSError, ValueError) as error:  # ValueError: no image format of that suffix
            raise Unusable(f"--picture {args.picture}: {error}") from error
    print(f"\n{exact} of {len(rows)} captions equal a reference; the pairs are shown in {out}")
    return 0


def collect_pairs(paths: list[str]) -> tuple[list[dict], list[str], bool]:
    """
    What the paths on the command line mean.

    Args:
        paths (`list[str]`):
            Two images, a folder of pairs, or a folder of first and one of second images.

    Returns:
        `tuple`: pairs and messages as from [`find_pairs`], and whether it is one pair given by its two images.

    Raises:
        Unusable: for another number of paths, for one image, and for folders without a pair.
    """
    folders = [path for path in paths if Path(path).is_dir()]
    if len(paths) == 2 and not folders:
        return [{"before": paths[0], "after": paths[1]}], [], True
    if len(paths) > 2 or len(folders) != len(paths):
        what = "two images or a folder" if len(paths) != 2 else "two images or two folders"
        if len(paths) == 1 and not Path(paths[0]).exists():
            raise Unusable(f"{paths[0]}: no such folder; give {what}")
        raise Unusable(f"give {what}, not {' '.join(paths)}")
    pairs, problems = find_pairs(*folders)
    if not pairs and not problems:
        raise Unusable(f"no pairs in {' and '.join(folders)}; give one of these layouts:\n{LAYOUTS}")
    return pairs, problems, False


def load_pipeline(args: argparse.Namespace) -> Callable:
    """
    The pipeline that the options ask for.

    Args:
        args (`argparse.Namespace`):
            With `model`, `revision`, `device`, `num_beams`, `max_new_tokens` and `prompt`.

    Returns:
        [`ImageDifferenceCaptioningPipeline`]

    Raises:
        Unusable: if the model or device cannot be used.
    """
    from transformers.utils import logging

    from ..loading.load import load_idc
    from ..pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options = {"num_beams": args.num_beams, "max_new_tokens": args.max_new_tokens, "text": args.prompt}
    options = {name: value for name, value in options.items() if value is not None}
    try:
        model, processor = load_idc(args.model, revision=args.revision)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unusable(str(error)) from error
    try:
        return ImageDifferenceCaptioningPipeline(
            model=model, processor=processor, task=TASK, device=args.device, **options
        )
    except (RuntimeError, AssertionError, ValueError) as error:  # torch has no one error for a device it has not
        raise Unusable(f"--device {args.device}: {error}") from error


def _caption(pairs: list[dict], pipe: Callable, write: Callable, batch_size: int, progress: bool) -> int:
    """Captions and writes each pair; returns how many failed."""
    from huggingface_hub.utils import tqdm

    failed = 0
    inputs = ((pair["before"], pair["after"]) for pair in pairs)
    results = pipe(inputs, batch_size=batch_size, on_error="return")
    hidden = None if progress else True  # None: shown on a terminal only
    bar = tqdm(total=len(pairs), unit="pair", file=sys.stderr, disable=hidden)
    with bar:
        for index, (pair, captions) in enumerate(zip(pairs, results, strict=True)):
            best = captions[0]
            with tqdm.external_write_mode():
                if "error" in best:
                    failed += 1
                    message = best["error"].removeprefix(f"row {index}: ")
                    _complain(f"{pair['id']}: {message}" if "id" in pair else message)
                else:
                    print(write(pair, best), flush=True)
            bar.update()
    return failed


def _complain(message: str) -> None:
    print(f"blip2idc: {message}", file=sys.stderr, flush=True)


def _json_line(pair: dict, best: dict) -> str:
    return json.dumps({**pair, **best}, ensure_ascii=False)


def _sentence(pair: dict, best: dict) -> str:
    return f"{best['generated_text']}\nconfidence {best['score']:.2f}"


def _table_line(pairs: list[dict]) -> Callable:
    width = min(max(len(pair["id"]) for pair in pairs), 40)

    def line(pair: dict, best: dict) -> str:
        return f"{pair['id']:<{width}}  {best['score']:.2f}  {best['generated_text']}"

    return line
