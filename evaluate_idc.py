"""Scores a model, or a file of captions, on a benchmark; leaves a report that says what the scores are worth.

    python evaluate_idc.py --model someone/blip2idc-std --benchmark spot_the_diff --data_dir std/ --out report/
    python evaluate_idc.py --predictions results.json --benchmark spot_the_diff --data_dir std/ --against theirs.json

The folder `--out` then holds `report.json`, `report.md`, `gallery.html` and the captions in `predictions.jsonl`. The
same command continues captioning that was interrupted, at any moment. `docs/evaluate.md` says more.
"""

if __name__ == "__main__":  # before the imports below, which take seconds or may be missing
    import sys

    import blip2idc_scripts

    sys.exit(blip2idc_scripts.evaluate())

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from huggingface_hub.utils import tqdm

from datasets_syned import load
from datasets_syned.cli.options import option_names
from datasets_syned.common.image_cells import BrokenImageError, Cell, Cells
from datasets_syned.common.images import load_image, read_file
from datasets_syned.common.row import NO_CHANGE
from datasets_syned.common.splits import SPLITS
from datasets_syned.loading.builder import DEFAULT, Syned
from datasets_syned.training.grammars import score_captions
from metrics.report import build_report, match_predictions, read_predictions, write_predictions, write_report
from metrics.report.run_folder import FILES, captions_there, find_run, write_settings

COLUMNS = ("id", "captions", "category", "changed")


class FiledRows:
    """Images of pairs that lie in files: read where they lie, when they are asked for."""

    def __init__(self, pairs):
        self.pairs, self.cells = pairs, Cells()

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, place):
        return dict(zip(("before", "after"), map(self._decoded, self.pairs[place].images), strict=True))

    def select(self, places):
        """The rows at some places, as `datasets.Dataset.select` gives them."""
        return FiledRows([self.pairs[place] for place in places])

    def _decoded(self, image):
        content = self.cells.read(image)[0] if isinstance(image, Cell) else read_file(image)
        return load_image(content, str(image))


def read_benchmark(args, images):
    """The split's rows without their images, and something that has the images of row i; `None` if not wanted."""
    name = args.benchmark or DEFAULT
    own = [option for option, configs in option_names().items() if name in configs]
    if unknown := [option for option in args.options if option not in own]:
        raise ValueError(f"--options: {name!r} has no option {unknown[0]!r}, but {', '.join(own)}")
    if name == DEFAULT:
        if args.split not in SPLITS:
            raise ValueError(f"--split {args.split}: {name!r} has {', '.join(SPLITS)}")
        others = {split: 0 for split in SPLITS if split != args.split}  # need not be rendered
        rows = load(name, split=args.split, data_dir=args.data_dir, **{**others, **args.options})
        return rows.select_columns(COLUMNS).to_list(), rows if images else None
    config = replace(Syned.builder_configs[name], data_dir=args.data_dir, **args.options)
    try:
        if images and config.on_error == "skip":
            config.check_images(cells=True)
        plan = config.plan if images else config.read(config.root)  # the former looks whether every image is there
    except BrokenImageError as error:
        raise ValueError(f"{error}" + ("\n--gallery 0 needs no images." if args.predictions else "")) from error
    pairs = plan.pairs.get(args.split)
    if not pairs:
        raise ValueError(f"--split {args.split}: {name!r} has {', '.join(split for split in plan.pairs)} here")
    rows = [{column: getattr(pair, column) for column in COLUMNS} for pair in pairs]
    return rows, FiledRows(pairs) if images else None


def read_alone(predicted, path):
    """Rows of a file that has its own references."""
    if missing := [row["id"] for row in predicted if "references" not in row]:
        raise ValueError(f"{path}: id {missing[0]!r} has no references; name the --benchmark that has them")
    named = all("category" in row for row in predicted)
    return [
        {
            "id": row["id"],
            "captions": row["references"],
            "category": row["category"] if named else None,
            "changed": row.get("changed", row["category"] != NO_CHANGE if named else None),
        }
        for row in predicted
    ]


def identity(model, revision):
    """What changes when the weights behind a name do: the commit on the Hub, or size and time of local files."""
    from modeling_blip2idc.loading.load import check_folder, commit_of

    folder = Path(check_folder(model))
    if not folder.is_dir():
        commit = commit_of(model, revision)
        return {} if commit is None else {"commit": commit}
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".safetensors")]
    state = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return {"files": hashlib.sha256(repr(state).encode()).hexdigest()[:16]}


def caption(args, pairs, images, out, asked):
    """Captions of all pairs, written batch by batch to predictions.jsonl, and how they were made."""
    used = find_run(out, asked)
    path, ids = out / "predictions.jsonl", [pair["id"] for pair in pairs]
    captions = captions_there(path, ids, args.batch_size)
    if len(captions) == len(pairs):
        return captions, used
    import torch

    from modeling_blip2idc.loading.load import load_idc
    from modeling_blip2idc.pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model, processor = load_idc(args.model, revision=args.revision, dtype=args.dtype)
    settings = model.generation_config
    decoding = {
        "num_beams": args.num_beams or settings.num_beams or 1,
        "max_new_tokens": args.max_new_tokens or settings.max_new_tokens,
        "do_sample": False,
    }
    used = {"dtype": str(model.dtype).removeprefix("torch."), "device": device, "decoding": decoding}
    given = {name: value for name, value in decoding.items() if value is not None}
    try:
        pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, task=TASK, device=device, **given)
    except (RuntimeError, AssertionError) as error:  # torch has no one error for a device that is not there
        raise ValueError(f"--device {device}: {error}") from error
    write_settings(out, asked, used)
    todo = (tuple(images[place][side] for side in ("before", "after")) for place in range(len(captions), len(pairs)))
    results = pipe(todo, batch_size=args.batch_size)
    bar = tqdm(results, desc="captions", total=len(pairs), unit="pair", initial=len(captions))
    with open(path, "a", encoding="utf-8") as file:
        for result in bar:
            pair = pairs[len(captions)]
            captions.append(result[0]["generated_text"])
            row = {"id": pair["id"], "category": pair["category"], "caption": captions[-1]}
            file.write(json.dumps({**row, "references": pair["captions"]}, ensure_ascii=False) + "\n")
            if len(captions) % args.batch_size == 0:
                file.flush()
    return captions, used


def main(args):
    """Captions, scores and writes. Returns the report."""
    if args.model is not None:
        from modeling_blip2idc.loading.load import check_folder

        args.model = check_folder(args.model)  # of a run, its result
    out, alone, images = Path(args.out), args.predictions is not None and args.benchmark is None, None
    gallery, args.batch_size = 200 if args.gallery is None else args.gallery, args.batch_size or 16
    predicted = None if args.predictions is None else read_predictions(args.predictions)
    if alone:
        pairs = read_alone(predicted, args.predictions)
    else:
        pairs, images = read_benchmark(args, images=predicted is None or gallery > 0)
    ids = [pair["id"] for pair in pairs]
    against = {file: match_predictions(read_predictions(file), ids, file)[: args.limit] for file in args.against}
    asked = {"predictions": args.predictions, "limit": args.limit}
    if predicted is None:
        names = ("model", "revision", "dtype", "num_beams", "max_new_tokens", "limit")
        asked = {name: getattr(args, name) for name in names} | identity(args.model, args.revision)
    if not alone:
        said = hashlib.sha256(json.dumps([(pair["id"], pair["captions"]) for pair in pairs]).encode()).hexdigest()[:16]
        asked |= {"benchmark": args.benchmark or DEFAULT, "split": args.split, "options": args.options, "pairs": said}
    pairs = pairs[: args.limit]
    if predicted is None:
        captions, used = caption(args, pairs, images, out, asked)
    else:
        captions, used = match_predictions(predicted, ids, args.predictions)[: args.limit], find_run(out, asked)
        write_settings(out, asked, used)

    references, categories, changed = ([pair[name] for pair in pairs] for name in ("captions", "category", "changed"))
    categories, changed = (None if None in column else column for column in (categories, changed))
    about = {name: value for name, value in {**asked, **used}.items() if name not in ("benchmark", "files", "pairs")}
    if predicted is None:
        from modeling_blip2idc.loading.load import embedded_name

        about["model"] = embedded_name(args.model) or args.model
    report = build_report(
        captions,
        references,
        ids=ids[: args.limit],
        categories=categories,
        changed=changed,
        against=against,
        benchmark=asked.get("benchmark"),
        about=about,
        extra=score_captions(captions, references, categories),
        **{name: getattr(args, name) for name in ("confidence", "resamples", "seed")},
    )
    write_report(out, report, None if images is None else images.select(range(len(pairs))), gallery)
    write_predictions(out / "predictions.jsonl", report["pairs"])
    print((out / "report.md").read_text(encoding="utf-8"))
    print(f"written: {', '.join(str(out / name) for name in FILES if (out / name).exists())}")
    return report
