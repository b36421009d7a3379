"""`syned synthesize`: makes synthetic pairs."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from ..common.splits import SPLITS
from ..synthesis.editors import COMPOSITE, PROCEDURAL
from ..synthesis.paraphrasers import GRAMMAR
from ..synthesis.settings import BALANCES, FORMATS, SECTION, STAGES, Settings, settings_from
from .instruct import add_server
from .options import WrongUse, sections, settings_of

FAILED = 1  # exit status: all is done that could be, but rows failed
AGAIN = "the same command continues where it was"


def add_synthesize(commands: "argparse._SubParsersAction") -> None:
    """Adds the command to others."""
    parser = commands.add_parser(
        "synthesize",
        help="make pairs: edit images by instructions, filter, paraphrase",
        usage="syned synthesize [RECIPE] --out FOLDER [--source S --editor E] [--variants N] [--dry_run] [...]",
        description="Edits each image of a source by its instruction, several times, and writes the pairs as a data "
        f'set that load_dataset("syned", "synthetic", data_dir=FOLDER) reads. Interrupt it as you like: {AGAIN}.',
        epilog="Example: syned synthesize --source pictures/ --editor timbrooks/instruct-pix2pix --out my_run/.",
    )
    parser.add_argument(
        "recipe",
        nargs="?",
        help="a YAML file with all settings; options go before it. Neither it nor a source: those "
        "that the run in --out has",
    )
    parser.add_argument("--out", metavar="FOLDER", help="folder to write, or any place that fsspec knows")
    parser.add_argument("--dry_run", action="store_true", help="print the plan and what it costs, make nothing")
    parser.add_argument("--rate", type=float, metavar="N", help="images per second, for --dry_run; else measured")

    group = parser.add_argument_group("what to make")
    group.add_argument(
        "--data_dir", action="append", default=[], metavar="FOLDER", help="of a benchmark: [NAME=]FOLDER"
    )
    run, split, source = (settings_of(group, section) for section in ("run", "splits", "source"))
    source("path", "scenes, a configuration of this package, a folder or a name on the Hub", "source", metavar="NAME")
    run("split", "to make (default: train)", choices=SPLITS)
    source("split", "of the source (default: the same)", "source_split")
    source("columns", "such as instruction=text", action="append", type=_column, metavar="WHAT=NAME")
    source("instructions", "for a folder of images: lists of words, or a file of them")
    source("per_image", "instructions of each image, from words (default: 1)", type=int)
    source("objects", "for a folder of photographs: that of named cut-outs to put on them")
    source("categories", "shares of kinds of edit, such as add=2,color=1", type=_shares, metavar="KIND=N,...")
    source("jitter", "how far cameras differ, of what is rendered or composed (default: 1)", type=float)
    source("width", "of what is rendered or composed, in pixels", type=int)
    source("height", "of it", type=int)
    source("unchanged", "share of rows in which nothing changes (default: 0)", type=float)
    split("variants", "edits of each image (default: 8; 0: none)", type=int)
    split("paraphrases", "further captions of each pair (default: 0)", type=int)
    split("limit", "take N images of the source", type=int)
    split("balance", "take images of all categories in turn", choices=BALANCES)
    run("filters", "a filter, or a preset of them", "filter", action="append", metavar="NAME[=MIN[:MAX]]")
    run("seed", "of the whole run (default: 0)", type=int)
    run("image_format", "of the edited images (default: png)", choices=FORMATS)

    group = parser.add_argument_group("models")
    sets = ("run", "editor_options", "paraphraser_options", "filter_options", "models")
    run, editor, paraphraser, filters, models = (settings_of(group, section) for section in sets)
    run("editor", f"a diffusers pipeline on the Hub or in a folder; module:Class; {PROCEDURAL}; {COMPOSITE}")
    editor("revision", "branch, tag or commit of it", "editor_revision")
    editor("variant", "of its weights' files, such as fp16", "editor_variant")
    editor("force", "take a pipeline not known to edit images", action="store_true")
    editor("lora", "LoRA weights for it: a file, a folder, or on the Hub")
    editor("lora_scale", "of them (default: 1)", type=float)
    editor("quantization", "of the editor's weights, by bitsandbytes", choices=("4bit", "8bit"))
    editor("steps", "of diffusion", type=int)
    editor("guidance", "by the instruction", type=float)
    editor("image_guidance", "by the image, where the editor has that", type=float)
    editor("resolution", "edge, in pixels, of a square with the area of an image", type=int)
    editor("failure_rate", f"of the editor {PROCEDURAL}", type=float)
    editor("dtype", "float32, float16, bfloat16")
    editor("offload", "keep the editor's parts on the CPU", choices=("model", "sequential"))
    editor("batch_size", "images of a call; halved when memory is short", type=int)
    run("paraphraser", f"a chat model on the Hub or in a folder; {GRAMMAR}, of what was composed")
    paraphraser("revision", "branch, tag or commit of it", "paraphraser_revision")
    paraphraser("gguf_file", "of it that holds its weights")
    add_server(paraphraser)
    paraphraser("from_images", "it sees both images of a pair", action="store_true")
    paraphraser("rules", "for what it says (default: format)", choices=("none", "format", "strict"))
    filters("clip_model", "of the filters (default: CLIP ViT-L/14, a preset's own)")
    filters("dino_model", "of the filters (default: DINOv2, a preset's own)")
    models("device", "of all models, such as cpu or cuda:1")

    group = parser.add_argument_group("how")
    group.add_argument("--engine", choices=("local", "ray"), default="local", help="(default: local)")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="of Ray (default: 1)")
    group.add_argument("--gpus", type=float, default=0, metavar="N", help="of each of them (default: 0)")
    group.add_argument("--stage", action="append", choices=STAGES, help="do it alone; several times for several")
    group.add_argument("--retry_failed", action="store_true", help="make again what failed")
    run = settings_of(group, "run")
    run("sources_per_part", "images; done again after an interruption (default: 8)", type=int)
    run("rows_per_shard", "of a Parquet file (default: 1024)", type=int)
    parser.set_defaults(run=_synthesize, stopped=f"stopped; {AGAIN}")


def _column(text: str) -> tuple[str, str]:
    what, _, name = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be like instruction=<name of the column>")
    return what, name


def _shares(text: str) -> dict[str, int]:
    shares = dict(part.partition("=")[::2] for part in text.split(","))
    try:
        return {kind.strip(): int(share) if share else 1 for kind, share in shares.items()}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} must be like add=2,color=1, in whole numbers") from error


def _synthesize(args: argparse.Namespace) -> int:
    try:
        settings = _settings(args)
    except (OSError, ValueError) as error:
        raise WrongUse(str(error)) from error
    if args.dry_run:
        from ..synthesis.dry_run import dry_run

        print(dry_run(settings, args.rate))
        return 0
    if args.out is None:
        raise WrongUse("--out is missing: name a folder to write")
    from ..synthesis.run import synthesize

    how = {name: getattr(args, name) for name in ("engine", "workers", "gpus", "retry_failed")}
    summary = synthesize(settings, args.out, stages=args.stage or STAGES, **how)
    tqdm.write(summary.text(args.out), file=sys.stdout)
    return FAILED if summary.failed else 0


def _settings(args: argparse.Namespace) -> Settings:
    given = sections(args)
    given |= given.pop("run", {})
    every, source = given.pop("models", {}), given.get("source", {})
    recipe = _read_recipe(args.recipe) if args.recipe else {}
    if not recipe and "path" not in source and args.out:  # those of the run that is there
        from ..synthesis.folder import read_record
        from ..synthesis.store import Store

        recipe = (read_record(Store(args.out)) or {}).get("settings", {})
    if "columns" in source:
        source["columns"] = dict(source["columns"])
    told, known = given.get("paraphraser_options", {}), recipe.get(SECTION, recipe)
    nowhere = {
        "editor_options": (given.get("editor") or known.get("editor")) in (PROCEDURAL, COMPOSITE),
        "paraphraser_options": "base_url" in told or "provider" in told,
        "filter_options": False,
    }
    for options, has_no_device in nowhere.items():
        given[options] = {**({} if has_no_device else every), **given.get(options, {})}
    return settings_from(recipe, given, args.data_dir)


def _read_recipe(path: str) -> dict[str, Any]:
    import yaml

    try:
        recipe = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict) or not isinstance(recipe.get(SECTION, {}), dict):
        raise ValueError(f"{path} must hold settings by name, not {json.dumps(recipe)[:40]}")
    return recipe
