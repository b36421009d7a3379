"""
The `blip2idc` command: what can be typed, and how it ends. It stands outside the package, whose import loads torch, so
that `--help`, completion and typing errors are immediate: each command imports what it needs when it runs.
"""

import gc
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

# How every command ends.
OK, FAILED, WRONG_USE = 0, 1, 2  # and 130, interrupted, which is Typer's

EPILOG = """\
\b
Pairs are two images, or
  a folder with before/NAME.png and after/NAME.png, or with NAME_before.png and NAME_after.png,
  two folders, before first, with the same names in both,
  a .csv, .tsv or .jsonl file with the columns before and after (and, if you like, id and prompt).

\b
Examples:
  blip2idc before.png after.png --heatmap where.png
  blip2idc pairs/ --json > captions.jsonl
  blip2idc pairs.csv --output captions.csv --model someone/blip2idc-emu-edit

\b
Exit status: 0 all is well, 1 something failed (also one pair of many), 2 wrong use, 130 interrupted."""

Dtypes = Literal["float32", "bfloat16", "float16"]


def argument(help: str, metavar: str | None = None, type: Any = str) -> Any:
    return Annotated[type, typer.Argument(help=help, metavar=metavar)]


def option(name: str, help: str, metavar: str | None = None, type: Any = str | None, **limits: int) -> Any:
    return Annotated[type, typer.Option(name, help=help, metavar=metavar, **limits)]


Model = option("--model", "Folder or Hub id of a model or adapter. Default: the embedded model.", "M")
Models = option("--model", "Hub id (or, on this machine, folder) to choose from; again for more.", "M", list[str])
Revision = option("--revision", "Branch, tag or commit on the Hub.", "R")
Device = option("--device", "cpu, cuda, cuda:1, mps, ... Default: a GPU if there is one.", "D")
Dtype = option("--dtype", "Of the weights. Default: as they are saved.", type=Dtypes | None)
Private = option("--private", "Make a new repository private.", type=bool)
DryRun = option("--dry_run", "Upload nothing, only say what would be uploaded.", type=bool)


class CaptionByDefault(TyperGroup):
    """`blip2idc BEFORE AFTER` is `blip2idc caption BEFORE AFTER`."""

    def parse_args(self, ctx, args):
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in own | set(self.commands):
            args = ["caption", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=CaptionByDefault,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
    help="Say what changed between two images: `blip2idc BEFORE AFTER`, or a folder or file of pairs.",
    rich_markup_mode=None,  # rich takes longer to import than all of this
    subcommand_metavar="[caption] BEFORE AFTER | PAIRS | COMMAND [ARGS]...",
)


def _version(wanted: bool) -> None:
    if wanted:
        print("blip2idc", version("blip2idc"))
        raise typer.Exit


@contextmanager
def quick_start() -> Iterator[None]:
    """Import and load without the garbage collector: all of it stays, and looking through it takes a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # so that it is not looked through at the end of the process either
        gc.enable()


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None: ...


@app.command(epilog=EPILOG)
def caption(
    paths: argument("See below.", "BEFORE AFTER | PAIRS", list[str]),
    as_json: option("--json", "Write a JSON object a line.", type=bool) = False,
    output: option("--output", "Write there: .csv, .tsv, .jsonl, or text.", "FILE") = None,
    heatmap: option("--heatmap", "Of two images: also draw where it changed.", "PNG") = None,
    model: Model = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    batch_size: option("--batch_size", "Pairs at a time.", "N", int, min=1) = 8,
    num_beams: option("--num_beams", "Beams of the search.", "N", int | None, min=1) = None,
    max_new_tokens: option("--max_new_tokens", "Longest caption.", "N", int | None, min=1) = None,
    prompt: option("--prompt", "Start of the caption, or InstructBLIP's instruction.", "TEXT") = None,
) -> int:
    """Say what changed between two images, or in each pair of a folder or file."""
    options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "text": prompt}
    with quick_start():
        from modeling_blip2idc.cli.caption import caption_pairs, load_pipeline
        from modeling_blip2idc.cli.pairs import collect_pairs

        pairs, problems, single = collect_pairs(paths, heatmap)
        pipe = load_pipeline(model, revision, device, dtype, **options) if pairs else None
    failed = caption_pairs(pipe, pairs, problems, single, batch_size, as_json, output, heatmap)
    return FAILED if failed else OK


@app.command()
def demo(
    out: option("--out", "The page.", "FILE", str) = "demo.html",
    picture: option("--picture", "Also draw pairs and captions as one picture.", "PNG") = None,
    model: Model = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Caption the six bundled pairs, one for each kind of change; print a table and write a page."""
    with quick_start():
        from modeling_blip2idc.cli.caption import load_pipeline
        from modeling_blip2idc.cli.demo_page import check_outputs, run_demo

        check_outputs({"--out": out, "--picture": picture})
        pipe = load_pipeline(model, revision, device, dtype)
    run_demo(pipe, model or "the embedded model", out, picture)


@app.command()
def serve(
    model: Models = [],  # noqa: B006  Typer copies it
    host: option("--host", "Address to listen on. Default: 127.0.0.1, this machine only.", "H") = None,
    port: option("--port", "0: any that is free.", "N", int, min=0, max=65535) = 7860,
    device: Device = None,
    max_batch_size: option("--max_batch_size", "Waiting pairs at a time.", "N", int, min=1) = 32,
    queue_size: option("--queue_size", "Pairs that may wait.", "N", int, min=1) = 64,
) -> None:
    """Show a page to try models in a browser, with an interface for programs. Ctrl-C ends it."""
    from modeling_blip2idc.app import page
    from modeling_blip2idc.loading.load import check_folder

    for name in model:
        check_folder(name)
    try:
        shown = page.build(model, device, max_batch_size, queue_size)
    except ModuleNotFoundError as error:
        raise RuntimeError(f"{error.name} is not installed; the page needs it: pip install 'blip2idc[app]'") from error
    page.serve(shown, host, port)


@app.command()
def push(
    folder: argument("A run, its final/, or any saved model or adapter."),
    repo: argument("account/name; made if there is none."),
    private: Private = False,
    revision: option("--revision", "Branch to commit to. Default: main.", "BRANCH") = None,
    dtype: option("--dtype", "Of the weights. Default: keep; adapters bfloat16.", type=Dtypes | None) = None,
    merge: option("--merge", "Merge an adapter into its base, and publish the whole model.", type=bool) = False,
    message: option("--message", "Title of the commit.", "TEXT") = None,
    replace_card: option("--replace_card", "Also where somebody edited the card on the Hub.", type=bool) = False,
    dry_run: DryRun = False,
) -> None:
    """
    Publish a model or an adapter on the Hub, in one commit: weights in safetensors, processor, generation settings,
    code and card. The token is that of `hf auth login`, or HF_TOKEN.
    """
    from huggingface_hub import constants

    from modeling_blip2idc.hub.push import push

    options = {"revision": revision, "dtype": dtype, "merge": merge, "message": message, "replace_card": replace_card}
    done = push(folder, repo, private=private or None, dry_run=dry_run, **options)
    total = sum(done.files.values())
    if dry_run:
        print(*(f"{size:>14,}  {name}" for name, size in done.files.items()), sep="\n")
        print(f"{total:>14,}  bytes in {len(done.files)} files would go to {done.repo}")
    else:
        where = f"{constants.ENDPOINT}/{done.repo}"
        print(*done.notes, f"{where}: {len(done.files)} files, {total / 1e6:.2f} MB", sep="\n")


@app.command("push-space")
def push_space(
    repo: argument("The Space: owner/name, or name for one of your own."),
    model: Models = [],  # noqa: B006
    private: Private = False,
    dry_run: DryRun = False,
) -> None:
    """Put the page of `blip2idc serve` on the Hub, as a Space; again, to replace it by this version."""
    from huggingface_hub import constants

    from modeling_blip2idc.app.push_space import describe_space, push_space

    if dry_run:
        print(describe_space(repo, model), end="")
    else:
        print(f"{constants.ENDPOINT}/spaces/{push_space(repo, model, private=private or None)}")


@app.command()
def merge(
    model: argument("Folder or Hub id of an adapter or a model."),
    out: argument("The new folder."),
    dtype: Dtype = None,
    revision: Revision = None,
) -> None:
    """
    Write a model, or an adapter merged into its base, as a checkpoint of stock transformers, which loads without this
    package and without remote code.
    """
    import torch

    from modeling_blip2idc.hub.merge import merge

    written = merge(model, out, getattr(torch, dtype) if dtype else None, revision)
    print(f"{written}: loads without this package; its README.md says how, and which canvas it takes")


@app.command("import-adapter")
def import_adapter(
    folder: argument("The adapter's."),
    out: option("--out", "The new folder. Default: FOLDER-imported.", "DIR") = None,
    base: option("--base", "Hub id or folder of the base. Default: as FOLDER says.", "ID") = None,
    revision: option("--revision", "Of the base. Default: as FOLDER or the authors' script says.", "R") = None,
    dtype: option("--dtype", "Default: 16 bits stay, others become bfloat16.", type=Dtypes | None) = None,
) -> None:
    """
    Turn a peft adapter (adapter_model.bin or .safetensors, adapter_config.json), such as the authors' pickles, into a
    folder of safetensors, processor, generation settings and card. Only tensors are read from a pickle.
    """
    from modeling_blip2idc.hub.import_adapter import import_adapter

    written, facts = import_adapter(folder, out, base, revision, dtype)
    old, new = facts["dtypes"]
    print(
        f"{written}: {sum(facts['modules'].values())} modules, rank {facts['rank']}, {facts['parameters']:,} "
        f"parameters, {new}{'' if old == new else f' (was {old})'}, {facts['bytes'] / 1e6:.2f} MB"
    )
    print("base:", *filter(None, (facts["base"], facts["revision"])))


@app.command()
def canvas(
    before: argument("File or URL."),
    after: argument("File or URL."),
    out: argument("The picture.", "OUT.png"),
    model: Model = None,
    revision: Revision = None,
) -> None:
    """Write the one image with both on it that a server of a merged checkpoint takes."""
    from modeling_blip2idc.cli.pictures import write_canvas

    picture, axis = write_canvas(before, after, out, model, revision)
    layout = "before above after" if axis == "vertical" else "before to the left of after"
    print(f"{out}: {picture.width}x{picture.height} pixels, {layout}")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status. What goes wrong is a line on stderr and, with `--json`, on stdout."""
    argv = sys.argv[1:] if argv is None else argv
    # By default torch's threads spin while they wait, on cores that others need; settled when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of peft's use of transformers
            return typer.main.get_command(app).main(argv, "blip2idc", standalone_mode=False) or OK
    except BrokenPipeError:  # the reader, `head` say, has enough; keep Python from failing again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        see = f" See `{context.command_path} --help`." if context else ""
        message, status = error.format_message() + see, WRONG_USE
    except (OSError, ValueError, RuntimeError, ArithmeticError) as error:
        message, status = str(error), getattr(error, "exit_code", FAILED)
    message = " ".join(message.split())
    if "--json" in argv:
        print(json.dumps({"error": message}))
    print(f"blip2idc: error: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
