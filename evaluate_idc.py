"""Scores a model, or a file of captions, on a benchmark; leaves a report that says what the scores are worth.

    python evaluate_idc.py --model someone/blip2idc-std --benchmark spot_the_diff --data_dir std/ --out report/
    python evaluate_idc.py --predictions results.json --benchmark spot_the_diff --data_dir std/ --against theirs.json

The folder `--out` then holds `report.json`, `report.md`, `gallery.html` and the captions in `predictions.jsonl`. The
same command continues captioning that was interrupted, at any moment. `docs/evaluate.md` says more.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import datasets
from huggingface_hub.utils import tqdm

from datasets_syned import load
from datasets_syned.cli.options import option_names
from datasets_syned.common.image_cells import BrokenImageError, Cell, Cells
from datasets_syned.common.row import NO_CHANGE
from datasets_syned.loading.builder import DEFAULT, Syned
from datasets_syned.scenes.pair import SPLITS
from datasets_syned.scenes.scores import of_the_grammar, score_scene_captions
from metrics.report import build_report, match_predictions, read_predictions, write_predictions, write_report
from metrics.report.run_folder import FILES, captions_there, find_run, write_settings

COLUMNS = ("id", "captions", "category", "changed")


def make_parser():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what is scored").add_mutually_exclusive_group()
    what.add_argument("--model", help="folder or Hub id of a model or an adapter; default: the embedded model")
    what.add_argument("--predictions", metavar="FILE", help="captions: JSON lines, or an array as in result files")
    parser.add_argument("--revision", help="branch, tag or commit of the model")

    data = parser.add_argument_group("on what")
    data.add_argument("--benchmark", choices=Syned.builder_configs, help=f"default: {DEFAULT}")
    data.add_argument("--data_dir", metavar="FOLDER", help="that holds the benchmark's files")
    data.add_argument("--options", type=json_object, default={}, metavar="JSON", help="""such as '{"jitter": 2.0}'""")
    data.add_argument("--split", default="test", help="default: test")
    data.add_argument("--limit", type=positive, metavar="N", help="the first pairs only")

    how = parser.add_argument_group("how captions are made")
    how.add_argument("--batch_size", type=positive, metavar="N", help="pairs at a time; default: 16")
    how.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: the checkpoint's")
    how.add_argument("--device", help="such as cuda:1 or cpu; default: the GPU, if there is one")
    how.add_argument("--num_beams", type=positive, metavar="N", help="default: the checkpoint's, else 1")
    how.add_argument("--max_new_tokens", type=positive, metavar="N", help="default: the checkpoint's")

    report = parser.add_argument_group("the report")
    report.add_argument("--out", default="report", metavar="FOLDER", help="default: report/")
    report.add_argument("--against", nargs="+", default=[], metavar="FILE", help="others' captions: a paired test")
    report.add_argument("--gallery", type=int, metavar="N", help="pairs in gallery.html; default: 200")
    report.add_argument("--confidence", type=float, default=0.95, help="of the intervals; default: 0.95")
    report.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="of the bootstrap; default: 1000"
    )
    report.add_argument("--seed", type=int, default=0, help="of the bootstrap; default: 0")
    return parser


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def json_object(text):
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON object, not {text}")
    return value


class FiledRows:
    """Images of pairs that lie in files: read where they lie, when they are asked for, as `datasets` decodes them."""

    def __init__(self, pairs):
        self.pairs, self.cells, self.feature = pairs, Cells(), datasets.Image()

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, place):
        return dict(zip(("before", "after"), map(self._decoded, self.pairs[place].images), strict=True))

    def select(self, places):
        """The rows at some places, as `datasets.Dataset.select` gives them."""
        return FiledRows([self.pairs[place] for place in places])

    def _decoded(self, image):
        where = {"bytes": self.cells.read(image)[0]} if isinstance(image, Cell) else {"path": str(image)}
        try:
            return self.feature.decode_example({"bytes": None, "path": None, **where})
        except (OSError, ValueError, SyntaxError) as error:  # Pillow's decoders raise all of these
            raise BrokenImageError(f"{image} cannot be read: {error}") from error


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
            config.check_images()
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
    from modeling_blip2idc.loading.load import EMBEDDED, commit_of

    folder = EMBEDDED if model is None else Path(model)
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


def check(args):
    """Raises a `ValueError` for what would otherwise fail after captioning, or would silently do nothing."""
    alone = args.predictions is not None and args.benchmark is None
    ignored = {}
    if args.predictions is not None:
        of_model = ("revision", "dtype", "device", "num_beams", "max_new_tokens", "batch_size")
        ignored |= dict.fromkeys(of_model, "is for a model, and --predictions are made already")
    elif args.model is None:
        ignored["revision"] = "is that of --model, which is not given"
    if alone:
        ignored |= dict.fromkeys(("data_dir", "options", "split"), "is for a --benchmark, which is not given")
        if args.gallery:
            ignored["gallery"] = "needs the images of a --benchmark, which is not given"
    elif args.benchmark in (None, DEFAULT):
        ignored["data_dir"] = f"is for files of a benchmark, and {DEFAULT!r} is rendered"
    usual = {"options": {}, "split": "test"}
    for name, why in ignored.items():
        if getattr(args, name) != usual.get(name):
            raise ValueError(f"--{name} {why}")
    if not 0 < args.confidence < 1:
        raise ValueError(f"--confidence {args.confidence} must be between 0 and 1, such as 0.95")
    if args.gallery is not None and args.gallery < 0:
        raise ValueError(f"--gallery {args.gallery} must not be negative")
    if args.model is not None:
        from modeling_blip2idc.loading.load import check_folder

        args.model = check_folder(args.model)  # of a run, its result


def main(args):
    """Captions, scores and writes. Returns the report."""
    check(args)
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
    of_scenes = categories is not None and of_the_grammar(references, categories)
    about = {name: value for name, value in {**asked, **used}.items() if name not in ("benchmark", "files", "pairs")}
    if predicted is None and args.model is None:
        about["model"] = "the embedded model"
    report = build_report(
        captions,
        references,
        ids=ids[: args.limit],
        categories=categories,
        changed=changed,
        against=against,
        benchmark=asked.get("benchmark"),
        about=about,
        extra={"scenes": score_scene_captions(captions, references, categories)} if of_scenes else None,
        **{name: getattr(args, name) for name in ("confidence", "resamples", "seed")},
    )
    write_report(out, report, None if images is None else images.select(range(len(pairs))), gallery)
    write_predictions(out / "predictions.jsonl", report["pairs"])
    print((out / "report.md").read_text(encoding="utf-8"))
    print(f"written: {', '.join(str(out / name) for name in FILES if (out / name).exists())}")
    return report


if __name__ == "__main__":
    try:
        main(make_parser().parse_args())
    except (OSError, ValueError) as error:
        sys.exit(f"evaluate_idc.py: error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
