"""
The `blip2idc` command: what can be typed, and how it ends. It stands outside the package, whose import loads torch, so
that `--help`, completion and typing errors are immediate: each command imports what it needs when it runs.
"""

import json
import os
import sys
import warnings
from difflib import get_close_matches
from importlib.metadata import version
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from blip2idc_scripts import DONE, EXITS, FAILED, WRONG_USE, one_line, prepare, quick_start, reader_left

PAIRS = """\
\b
Pairs are two images, two folders with the same names in both (before first), or
  a folder with before/NAME.png and after/NAME.png, or with NAME_before.png and NAME_after.png,
  a .csv, .tsv or .jsonl file with the columns before and after (and, if you like, id and prompt)."""

Dtypes = Literal["float32", "bfloat16", "float16"]


def examples(*lines: str) -> str:
    """The end of a command's help; `\\b` keeps the lines apart."""
    return "\n".join(["\b", "Examples:", *(f"  blip2idc {line}" for line in lines), "", "\b", EXITS])


CAPTION = f"{PAIRS}\n\n" + examples(
    "before.png after.png --heatmap where.png",
    "pairs/ --json > captions.jsonl",
    "pairs.csv --output captions.csv --model someone/blip2idc-emu-edit",
)


def argument(help: str, metavar: str | None = None, type: Any = str) -> Any:
    return Annotated[type, typer.Argument(help=help, metavar=metavar)]


def option(name: str, help: str, metavar: str | None = None, type: Any = str | None, **more: Any) -> Any:
    return Annotated[type, typer.Option(name, help=help, metavar=metavar, **more)]


Model = option("--model", "Folder or Hub id of a model or adapter; or mini or mini_photos. Default: as embedded.", "M")
Models = option("--model", "Hub id (or, on this machine, folder) to choose from; again for more.", "M", list[str])
Revision = option("--revision", "Branch, tag or commit on the Hub.", "R")
Device = option("--device", "Such as cpu, cuda:1 or mps. Default: a GPU if there is one.", "D")
Dtype = option("--dtype", "Dtype of the weights. Default: as they are saved.", type=Dtypes | None)
Private = option("--private", "Make a new repository private.", type=bool)
DryRun = option("--dry_run", "Upload nothing, only say what would be uploaded.", type=bool)


class CaptionByDefault(TyperGroup):
    """`blip2idc BEFORE AFTER` is `blip2idc caption BEFORE AFTER`, unless BEFORE is a mistyped command."""

    def parse_args(self, ctx, args):
        own = {*self.commands, *(name for parameter in self.get_params(ctx) for name in parameter.opts)}
        of_caption = {name for parameter in self.commands["caption"].params for name in parameter.opts}
        if args and args[0] not in own:
            given = args[0] in of_caption or os.path.exists(args[0])
            if given or not get_close_matches(args[0], own, cutoff=0.75):  # else Typer says what may be meant
                args = ["caption", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=CaptionByDefault,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=CAPTION,
    help="Say what changed between two images: `blip2idc BEFORE AFTER`, or a folder or file of pairs.",
    rich_markup_mode=None,  # rich takes longer to import than all of this
    subcommand_metavar="[caption] BEFORE AFTER | PAIRS | COMMAND [ARGS]...",
)


def _version(wanted: bool) -> None:
    if wanted:
        print("blip2idc", version("blip2idc"))
        raise typer.Exit


@app.callback()
def options(
    version: option("--version", "Show the version.", type=bool, callback=_version, is_eager=True) = False,
): ...


@app.command(epilog=CAPTION)
def caption(
    paths: argument("See below.", "BEFORE AFTER | PAIRS", list[str]),
    as_json: option("--json", "Write a JSON object a line.", type=bool) = False,
    output: option("--output", "Write there: .csv, .tsv, .jsonl, or text.", "FILE") = None,
    heatmap: option("--heatmap", "Of two images: also draw where it changed.", "PNG") = None,
    model: Model = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    batch_size: option("--batch_size", "Pairs at a time, such as 32.", "N", int, min=1) = 8,
    num_beams: option("--num_beams", "Beams of the search, such as 4.", "N", int | None, min=1) = None,
    max_new_tokens: option("--max_new_tokens", "Longest caption, such as 30.", "N", int | None, min=1) = None,
    prompt: option("--prompt", "Start of the caption, or InstructBLIP's instruction.", "TEXT") = None,
) -> int:
    """Say what changed between two images, or in each pair of a folder or file."""
    options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "text": prompt}
    with quick_start():
        from modeling_blip2idc.cli.caption import caption_pairs, load_pipeline
        from modeling_blip2idc.cli.pairs import collect_pairs
        from modeling_blip2idc.cli.pictures import check_outputs

        pairs, problems, single = collect_pairs(paths, heatmap)
        check_outputs({"--output": output, "--heatmap": heatmap}, pictures=("--heatmap",))
        pipe = load_pipeline(model, revision, device, dtype, **options) if pairs else None
    failed = caption_pairs(pipe, pairs, problems, single, batch_size, as_json, output, heatmap)
    return FAILED if failed else DONE


@app.command(epilog=examples("demo --out demo.html --picture demo.png"))
def demo(
    out: option("--out", "The page to write.", "FILE", str) = "demo.html",
    picture: option("--picture", "Also draw pairs and captions as one picture.", "PNG") = None,
    model: Model = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Caption the six bundled pairs, one for each kind of change; print a table and write a page."""
    with quick_start():
        from modeling_blip2idc.cli.caption import load_pipeline
        from modeling_blip2idc.cli.demo_page import run_demo
        from modeling_blip2idc.cli.pictures import check_outputs

        check_outputs({"--out": out, "--picture": picture}, pictures=("--picture",))
        pipe = load_pipeline(model, revision, device, dtype)
    run_demo(pipe, model or "the embedded model", out, picture)


@app.command(epilog=examples("serve --model someone/blip2idc-std", "serve --host 0.0.0.0 --port 8080"))
def serve(
    model: Models = [],  # noqa: B006  Typer copies it
    host: option("--host", "Address to listen on. Default: 127.0.0.1, this machine only.", "H") = None,
    port: option("--port", "Such as 8080; 0: any free one. Default: 7860.", "N", int | None, min=0, max=65535) = None,
    device: Device = None,
    max_batch_size: option("--max_batch_size", "Waiting pairs at a time, such as 16.", "N", int, min=1) = 32,
    queue_size: option("--queue_size", "Pairs that may wait, such as 128.", "N", int, min=1) = 64,
) -> None:
    """Show a page to try models in a browser, with an interface for programs. Ctrl-C ends it."""
    from modeling_blip2idc.app import page
    from modeling_blip2idc.cli.caption import quiet
    from modeling_blip2idc.loading.load import check_folder

    quiet()
    for name in model:
        check_folder(name)
    page.serve(page.build(model, device, max_batch_size, queue_size), host, port)


@app.command(epilog=examples("push runs/std someone/blip2idc-std --dry_run", "push adapter/ someone/full --merge"))
def push(
    folder: argument("A run, its final/, or any saved model or adapter."),
    repo: argument("The repository, such as someone/blip2idc-std; made if there is none."),
    private: Private = False,
    revision: option("--revision", "Branch to commit to. Default: main.", "BRANCH") = None,
    dtype: option("--dtype", "Dtype of the weights. Default: keep; adapters bfloat16.", type=Dtypes | None) = None,
    merge: option("--merge", "Merge an adapter into its base, and publish the whole model.", type=bool) = False,
    message: option("--message", "Title of the commit.", "TEXT") = None,
    replace_card: option("--replace_card", "Replace also a card that was edited on the Hub.", type=bool) = False,
    dry_run: DryRun = False,
) -> None:
    """Publish a model or adapter on the Hub in one commit, with code and card, as `hf auth login` or HF_TOKEN says."""
    from huggingface_hub import constants

    from modeling_blip2idc.cli.caption import quiet
    from modeling_blip2idc.hub.push import push

    quiet()
    options = {"revision": revision, "dtype": dtype, "merge": merge, "message": message, "replace_card": replace_card}
    done = push(folder, repo, private=private or None, dry_run=dry_run, **options)
    total = sum(done.files.values())
    if dry_run:
        files = [f"{size:>14,}  {name}" for name, size in done.files.items()]
        print(*files, f"{total:>14,}  bytes in {len(files)} files would go to {done.repo}", sep="\n")
    else:
        said = f"{constants.ENDPOINT}/{done.repo}: {len(done.files)} files, {total / 1e6:.2f} MB"
        print(*done.notes, said, sep="\n")


@app.command(
    "push-space",
    epilog=examples("push-space what-changed --model someone/blip2idc-std --dry_run"),
)
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


@app.command(epilog=examples("merge adapter/ merged/", "merge someone/blip2idc-std merged/ --dtype bfloat16"))
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

    from modeling_blip2idc.cli.caption import quiet
    from modeling_blip2idc.hub.merge import merge

    quiet()
    written = merge(model, out, getattr(torch, dtype) if dtype else None, revision)
    print(f"{written}: loads without this package; its README.md says how, and which canvas it takes")


@app.command("import-adapter", epilog=examples("import-adapter theirs/ --out spot/ --base opt/"))
def import_adapter(
    folder: argument("The adapter's folder."),
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


@app.command(epilog=examples("canvas before.png after.png canvas.png --model merged/"))
def canvas(
    before: argument("First image, a file or URL."),
    after: argument("Second image, a file or URL."),
    out: argument("The picture to write.", "OUT.png"),
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
    prepare()
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of peft's use of transformers
            return typer.main.get_command(app).main(argv, "blip2idc", standalone_mode=False) or DONE
    except BrokenPipeError:
        return reader_left()
    except typer.TyperException as error:
        means = getattr(getattr(error, "param", None), "help", None)  # with an example of what is right
        see = f" See `{error.ctx.command_path} --help`." if getattr(error, "ctx", None) else ""
        message, status = error.format_message() + (f" ({means})" if means else "") + see, WRONG_USE
    except ModuleNotFoundError as error:  # the page alone needs more than what is always installed
        message, status = f"{error.name} is not installed: pip install 'blip2idc[app]'", FAILED
    except (OSError, ValueError, RuntimeError, ArithmeticError) as error:
        message, status = error, getattr(error, "exit_code", FAILED)
    message = one_line(message)
    if "--json" in argv:
        print(json.dumps({"error": message}))
    print(f"blip2idc: error: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
