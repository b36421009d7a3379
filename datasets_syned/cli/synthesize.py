"""`syned synthesize`: makes synthetic pairs."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from ..synthesis.editors import PROCEDURAL
from ..synthesis.settings import BALANCES, SECTION, STAGES, Settings, settings_from
from .options import WrongUse

FAILED = 1  # exit status: all is done that could be, but rows failed
AGAIN = "the same command continues where it was"
# Options that are settings by their own names.
SETTINGS = ("seed", "image_format", "sources_per_part", "rows_per_shard")
OF_SPLITS = (
    "source", "split", "source_split", "instructions", "per_image", "unchanged", "variants", "paraphrases", "limit",
    "balance",
)  # fmt: skip
# Options that an editor takes by the same names.
OF_EDITOR = (
    "steps", "guidance", "image_guidance", "resolution", "dtype", "offload", "compile", "lora", "lora_scale",
    "quantization", "force", "failure_rate",
)  # fmt: skip
OF_PARAPHRASER = ("rules", "from_images", "gguf_file", "base_url", "provider", "api_key_env")
OF_FILTERS = ("clip_model", "dino_model")
OF_EVERY_MODEL = ("device",)


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
    what = parser.add_argument_group("what to make")
    what.add_argument("--source", help="scenes, a configuration of this package, a folder or a name on the Hub")
    what.add_argument("--split", choices=("train", "validation", "test"), help="to make (default: train)")
    what.add_argument("--source_split", metavar="SPLIT", help="of the source (default: the same)")
    what.add_argument(
        "--data_dir", action="append", default=[], metavar="FOLDER", help="of a benchmark: [NAME=]FOLDER"
    )
    what.add_argument("--columns", action="append", default=[], metavar="WHAT=NAME", help="such as instruction=text")
    what.add_argument(
        "--instructions", metavar="NAME", help="for a folder of images: lists of words, or a file of them"
    )
    what.add_argument("--per_image", type=int, metavar="N", help="instructions of each image, from words (default: 1)")
    what.add_argument("--unchanged", type=float, metavar="SHARE", help="of rows in which nothing changes (default: 0)")
    what.add_argument("--variants", type=int, metavar="N", help="edits of each image (default: 8; 0: none)")
    what.add_argument("--paraphrases", type=int, metavar="N", help="further captions of each pair (default: 0)")
    what.add_argument("--limit", type=int, metavar="N", help="take N images of the source")
    what.add_argument("--balance", choices=BALANCES, help="take images of all categories in turn")
    what.add_argument("--filter", action="append", metavar="NAME[=MIN[:MAX]]", help="a filter, or a preset of them")
    what.add_argument("--seed", type=int, help="of the whole run (default: 0)")
    what.add_argument("--image_format", choices=("png", "jpeg"), help="of the edited images (default: png)")
    models = parser.add_argument_group("models")
    models.add_argument(
        "--editor", metavar="ID", help=f"a diffusers pipeline on the Hub or in a folder; module:Class; {PROCEDURAL}"
    )
    models.add_argument("--editor_revision", metavar="REVISION", help="branch, tag or commit of it")
    models.add_argument("--editor_variant", metavar="NAME", help="of its weights' files, such as fp16")
    models.add_argument("--force", action="store_true", default=None, help="take a pipeline not known to edit images")
    models.add_argument("--lora", metavar="ID", help="LoRA weights for it: a file, a folder, or on the Hub")
    models.add_argument("--lora_scale", type=float, metavar="SCALE", help="of them (default: 1)")
    models.add_argument("--quantization", choices=("4bit", "8bit"), help="of the editor's weights, by bitsandbytes")
    models.add_argument("--steps", type=int, help="of diffusion")
    models.add_argument("--guidance", type=float, help="by the instruction")
    models.add_argument("--image_guidance", type=float, help="by the image, where the editor has that")
    models.add_argument("--resolution", type=int, metavar="PIXELS", help="edge of a square with the area of an image")
    models.add_argument("--failure_rate", type=float, help=f"of the editor {PROCEDURAL}")
    models.add_argument("--paraphraser", metavar="ID", help="a chat model on the Hub or in a folder")
    models.add_argument("--paraphraser_revision", metavar="REVISION", help="branch, tag or commit of it")
    models.add_argument("--gguf_file", metavar="NAME", help="of it that holds its weights")
    models.add_argument("--base_url", metavar="URL", help="of a server that runs it, such as http://localhost:8000/v1")
    models.add_argument("--provider", metavar="NAME", help="an inference provider of the Hub that runs it, or auto")
    models.add_argument("--api_key_env", metavar="NAME", help="environment variable that holds the server's key")
    models.add_argument("--from_images", action="store_true", default=None, help="it sees both images of a pair")
    models.add_argument("--rules", choices=("none", "format", "strict"), help="for what it says (default: format)")
    models.add_argument("--clip_model", metavar="ID", help="of the filters (default: CLIP ViT-L/14, a preset's own)")
    models.add_argument("--dino_model", metavar="ID", help="of the filters (default: DINOv2, a preset's own)")
    models.add_argument("--dtype", help="of the editor: float32, float16, bfloat16")
    models.add_argument("--device", help="of all models, such as cpu or cuda:1")
    models.add_argument("--offload", choices=("model", "sequential"), help="keep the editor's parts on the CPU")
    models.add_argument("--compile", action="store_true", default=None, help="compile the editor")
    models.add_argument("--batch_size", type=int, metavar="N", help="images of a call; halved when memory is short")
    how = parser.add_argument_group("how")
    how.add_argument("--engine", choices=("local", "ray"), default="local", help="(default: local)")
    how.add_argument("--workers", type=int, default=1, metavar="N", help="of Ray (default: 1)")
    how.add_argument("--gpus", type=float, default=0, metavar="N", help="of each of them (default: 0)")
    how.add_argument("--stage", action="append", choices=STAGES, help="do it alone; several times for several of them")
    how.add_argument(
        "--sources_per_part", type=int, metavar="N", help="images; done again after an interruption (default: 8)"
    )
    how.add_argument("--rows_per_shard", type=int, metavar="N", help="of a Parquet file (default: 1024)")
    how.add_argument("--retry_failed", action="store_true", help="make again what failed")
    parser.set_defaults(run=_synthesize, stopped=f"stopped; {AGAIN}")


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
    from ..synthesis.summary_text import summary_text

    how = {name: getattr(args, name) for name in ("engine", "workers", "gpus", "retry_failed")}
    summary = synthesize(settings, args.out, stages=args.stage or STAGES, **how)
    tqdm.write(summary_text(summary, args.out), file=sys.stdout)
    return FAILED if summary.failed else 0


def _settings(args: argparse.Namespace) -> Settings:
    recipe = _read_recipe(args.recipe) if args.recipe else {}
    if not recipe and not args.source and args.out:
        recipe = _settings_of(args.out)
    given: dict[str, Any] = {name: getattr(args, name) for name in (*SETTINGS, *OF_SPLITS)}
    given |= {"editor": args.editor, "paraphraser": args.paraphraser, "filters": args.filter}
    given = {name: value for name, value in given.items() if value is not None}
    every = {name: getattr(args, name) for name in OF_EVERY_MODEL}
    own = {name: getattr(args, name) for name in OF_EDITOR} | {"batch_size": args.batch_size}
    given["editor_options"] = _given(own | every | {"revision": args.editor_revision, "variant": args.editor_variant})
    given["filter_options"] = _given(every | {name: getattr(args, name) for name in OF_FILTERS})
    said = {name: getattr(args, name) for name in OF_PARAPHRASER} | {"revision": args.paraphraser_revision}
    given["paraphraser_options"] = _given(said | ({} if args.base_url or args.provider else every))
    if (args.editor or recipe.get(SECTION, recipe).get("editor")) == PROCEDURAL:
        given["editor_options"].pop("device", None)  # it has none
    if args.columns:
        given["columns"] = dict(_column(text) for text in args.columns)
    return settings_from(recipe, given, args.data_dir)


def _settings_of(out: str) -> dict[str, Any]:
    """The settings of a run that is there."""
    from ..synthesis.folder import read_record
    from ..synthesis.store import Store

    return (read_record(Store(out)) or {}).get("settings", {})


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _column(text: str) -> tuple[str, str]:
    what, equals, name = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--columns {text!r} must be like instruction=<name of the column>")
    return what, name


def _read_recipe(path: str) -> dict[str, Any]:
    import yaml

    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder; name a YAML file, or a source with --source")
    try:
        recipe = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict) or not isinstance(recipe.get(SECTION, {}), dict):
        raise ValueError(f"{path} must hold settings by name, not {json.dumps(recipe)[:40]}")
    return recipe
