"""
The commands `blip2idc-train` and `blip2idc-evaluate`, which are also the scripts `train_trainer.py` and
`evaluate_idc.py`, and `syned`: how they begin and end. It stands outside the packages and imports only what it needs
when it needs it, so that `--help`, mistakes in typing and libraries that are missing are told at once.
"""

import errno
import gc
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill

# How every command ends; `blip2idc` and `syned` do the same.
DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
ENDS = "Exit status: 0 done, 1 something failed, 2 wrong use, 130 interrupted."
EXITS = ENDS.replace("failed", "failed (also one pair of many)")

HERE = Path(__file__).parent
# in the wheel, or else in the repository
RECIPES = next((path for path in (HERE / "modeling_blip2idc" / "recipes", HERE / "recipes") if path.is_dir()), HERE)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk is full, or a quota or a limit is reached

TRAIN_HELP = """\
usage: {program} RECIPE [--option value ...]

Fine-tune a BLIP-2 for image difference captioning, score it, and leave it ready to load or to publish.

examples:
  {program} my_pairs --data_dir mine/ --extend_vocabulary       your own pairs, on the tiny embedded model
  {program} spot_the_diff --data_dir std/ --dry_run             two steps: what would the whole run take?

RECIPE is a YAML file of options, or the name of one of these (in {folder}):
{recipes}
An option that is given here wins over the recipe's. The same command continues a run that was interrupted.

what is trained:
  --model ID_OR_FOLDER       on the Hub or here; default: the recipe's, or the embedded model
  --tuning lora|full|qlora   an adapter, all weights, or an adapter over four bits; default: lora
  --rank N                   of the adapter; default: 8
  --lora_alpha N             scale of the adapter; default: 16
  --prompt TEXT              stands before every caption; default: none
  --extend_vocabulary        add the words of the training captions that the model does not know

what it learns from:
  --data_dir FOLDER          with the files of the recipe's data sets; NAME=FOLDER if there are several
  --train_data JSON          a data set, or a list of them, as for load_dataset:
                             '{{"path": "syned", "name": "folder", "split": "train"}}'
  --eval_data JSON           scored during training
  --test_data JSON           scored at the end
  --num_proc N               processes that prepare data; default: 1

how:
  --max_steps N              steps of the run; wins over epochs
  --num_train_epochs N       passes over the data; default: 3
  --per_device_train_batch_size N   pairs at a time on each device; default: 8
  --gradient_accumulation_steps N   times as many pairs a step; default: 1
  --learning_rate X          such as 1e-4; default: 5e-05
  --max_new_tokens N         longest caption; default: the model's
  --seeds N [N ...]          one run for each, and their mean and spread

what comes out:
  --output_dir FOLDER        checkpoints and results; default: runs/idc
  --push_to_hub              publish the model when it is done
  --hub_model_id OWNER/NAME  as what; default: the name of output_dir
  --dry_run                  take two steps, say what the run would take, stop

All options, also those of transformers' Seq2SeqTrainingArguments: {program} --help_all
{ends}"""


def train(argv: list[str] | None = None) -> int:
    """`blip2idc-train`: returns the exit status, as [`run`] does."""
    argv = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & {*argv}:
        names = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != "defaults"))
        recipes = fill(names, 110, initial_indent="  ", subsequent_indent="  ")
        print(TRAIN_HELP.format(program=Path(sys.argv[0]).name, folder=RECIPES, recipes=recipes, ends=ENDS))
        return DONE

    def work():
        import train_arguments

        arguments = train_arguments.parse(argv)
        import train_trainer

        train_trainer.main(*arguments)
        train_trainer.leave_together()

    return run(work, ("datasets", "evaluate", "matplotlib", "pyarrow"))


def evaluate(argv: list[str] | None = None) -> int:
    """`blip2idc-evaluate`: returns the exit status, as [`run`] does."""
    from evaluate_arguments import parse

    args = parse(argv)

    def work():
        import evaluate_idc

        evaluate_idc.main(args)

    return run(work, ("datasets", "pyarrow"))


def syned(argv: list[str] | None = None) -> int:
    """`syned`: returns the exit status."""

    def work():
        from datasets_syned.__main__ import main

        return main(argv)

    return run(work, ("datasets", "pyarrow"))


def run(work, needed) -> int:
    """
    Does a command's work, which may return another exit status than 0, and returns the exit status. What goes wrong is
    one line; what only a programmer understands keeps its traceback. `needed` are libraries of the extra `train`
    without which it cannot begin.
    """
    prepare()
    if missing := [name for name in needed if find_spec(name) is None]:
        return fail(f"{', '.join(missing)} not installed: pip install 'blip2idc[train]'")
    try:
        return work() or DONE
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return reader_left()
    except Exception as error:
        if disk_is_full(error):
            return fail(f"disk full ({error}). What was whole is kept; make room, and the same command continues")
        if isinstance(error, (OSError, ValueError, ArithmeticError)):
            return fail(error)
        raise


def prepare() -> None:
    """What every command sets before it begins."""
    # By default torch's threads spin while they wait, on cores that others need; settled when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whose terminal, or file, may not know every letter
            stream.reconfigure(errors="backslashreplace")


def reader_left() -> int:
    """What to do when the reader of stdout, `head` say, has enough; returns the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python does not fail again at exit
    return FAILED


def fail(message) -> int:
    """Prints the one line; returns the exit status."""
    print(f"{Path(sys.argv[0]).name}: error: {one_line(message)}", file=sys.stderr)
    return FAILED


def one_line(error: Exception | str) -> str:
    """What an error says, with the file's name first, without what moves the cursor of a terminal."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in " ".join(text.split()))


@contextmanager
def quick_start() -> Iterator[None]:
    """Import and load without the garbage collector: all of it stays, and looking through it takes a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # so that it is not looked through at the end of the process either
        gc.enable()


def disk_is_full(error: BaseException | None) -> bool:
    """Whether there was no room for a file; safetensors and torch tell it in words only."""
    while error is not None:
        words = str(error)
        if getattr(error, "errno", None) in NO_ROOM or any(f"(os error {number})" in words for number in NO_ROOM):
            return True
        if "PytorchStreamWriter" in words or "unexpected pos" in words:
            return True
        error = error.__cause__ or error.__context__
    return False
