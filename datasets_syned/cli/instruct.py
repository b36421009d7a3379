"""`syned instruct`: instructions for images that have none."""

import argparse
from pathlib import Path

from .options import sections, settings_of

FILE = "instructions.jsonl"


def add_instruct(commands: "argparse._SubParsersAction") -> None:
    """Adds the command to others."""
    parser = commands.add_parser(
        "instruct",
        help="ask a model that takes images for edits that fit them",
        usage="syned instruct FOLDER --model ID [--base_url URL] [--per_image N] [--out FILE] [...]",
        description="Writes instructions for the images of a folder into a JSONL file that you can read and change, "
        "and that `syned synthesize --source FOLDER --instructions FILE` takes. Interrupt it as you like: the same "
        "command continues.",
        epilog="Example: syned instruct pictures/ --model Qwen/Qwen2.5-VL-7B-Instruct --per_image 4.",
    )
    parser.add_argument("folder", help="of images")
    parser.add_argument(
        "--model", required=True, metavar="ID", help="on the Hub, in a folder, or by its server's name"
    )
    parser.add_argument("--out", metavar="FILE", help=f"to write (default: {FILE} in the folder)")
    parser.add_argument("--per_image", type=int, default=1, metavar="N", help="instructions (default: 1)")
    parser.add_argument("--split", default="train", choices=("train", "validation", "test"), help="(default: train)")
    parser.add_argument("--seed", type=int, default=0, help="of the answers (default: 0)")
    model = settings_of(parser, "model")
    model("revision", "branch, tag or commit of the model")
    model("device", "such as cpu or cuda:1")
    add_server(model)
    model("batch_size", "images, or requests, at a time", type=int)
    model("attempts", "how often the model is asked at most (default: 3)", type=int)
    parser.set_defaults(run=_instruct, stopped="stopped; the same command continues where it was")


def add_server(model) -> None:
    """Adds the options of a model that runs elsewhere."""
    model("base_url", "of a server that runs it, such as http://localhost:8000/v1", metavar="URL")
    model("provider", "an inference provider of the Hub that runs it, or auto")
    model("api_key_env", "environment variable that holds the server's key")


def _instruct(args: argparse.Namespace) -> int:
    from ..synthesis.instructing import write_instructions
    from ..synthesis.paraphrasers import load_paraphraser

    model = load_paraphraser(args.model, from_images=True, **sections(args).get("model", {}))
    out = Path(args.out or Path(args.folder) / FILE)
    counts = write_instructions(args.folder, out, model, args.per_image, args.split, args.seed)
    print(f"{out}: {counts['instructions']} instructions added; {counts['images']} images, {counts['failed']} failed")
    return 1 if counts["failed"] else 0
