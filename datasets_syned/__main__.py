"""The `syned` command."""

import argparse
import difflib
import io
import re
import sys
from collections.abc import Sequence

from datasets.exceptions import DatasetsError

from .cli.audit import add_audit
from .cli.instruct import add_instruct
from .cli.options import WrongUse
from .cli.push import add_push
from .cli.synthesize import add_synthesize
from .loading.scene_folder import write_scenes
from .scenes.settings import MOST_REFERENCES, SceneSettings

EXITS = "Exit status: 0 done, 1 something failed (also one row of many), 2 wrong use, 130 interrupted."


class Parser(argparse.ArgumentParser):
    """Refuses abbreviations, and says what is wrong in one line: which option may be meant, or what its value is."""

    def __init__(self, epilog=None, **options):
        super().__init__(allow_abbrev=False, epilog=f"{epilog} {EXITS}" if epilog else EXITS, **options)

    def parse_known_args(self, args=None, namespace=None):
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            near = difflib.get_close_matches(rest[0].split("=")[0], self._option_string_actions, 1)
            self.error(f"unknown argument {rest[0]}" + (f"; did you mean {near[0]}?" if near else ""))
        return parsed, rest

    def error(self, message):
        option = re.match(r"argument (--\w+): ", message)
        if option:
            action = self._option_string_actions[option[1]]
            example = action.default not in (None, argparse.SUPPRESS)
            message += f" ({action.help}{f', such as {action.default}' if example else ''})"
        self.exit(2, f"syned: error: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """
    Runs the command.

    Args:
        argv (`Sequence[str]`, *optional*, defaults to the process's arguments): without the program's name.

    Returns:
        `int`: exit status: 0, 1 for an error that is printed or rows that failed, 2 for options that cannot be meant,
            130 when interrupted.
    """
    args = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # whose terminal may not know every letter
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print(f"\nsyned: {args.stopped}", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:  # editors alone need more than what reading data sets needs
        print(f"syned: error: {error.name} is not installed: pip install 'blip2idc[synth]'", file=sys.stderr)
        return 1
    except (ValueError, RuntimeError, OSError, DatasetsError) as error:
        cause = error.__cause__ if isinstance(error, DatasetsError) else None  # what `datasets` raised it from
        said = "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in str(cause or error))
        print(f"syned: error: {said}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="syned", description="Data sets for image difference captioning.")
    parser.set_defaults(stopped="stopped")
    commands = parser.add_subparsers(required=True, metavar="command")
    scenes = commands.add_parser(
        "scenes",
        help="render the embedded benchmark into a folder of Parquet files",
        description="Renders pairs of scenes into a folder that load_dataset(folder) reads. Interrupt it as you like: "
        "the same command continues, and a larger number of rows adds to what is there.",
        epilog="Example: syned scenes --out folder/ --train 20000 --num_proc 2.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = SceneSettings()
    scenes.add_argument("--out", required=True, metavar="FOLDER", help="folder to write")
    scenes.add_argument("--train", type=int, default=1000, metavar="N", help="pairs to train on")
    scenes.add_argument("--validation", type=int, default=0, metavar="N", help="pairs to choose a model by")
    scenes.add_argument("--test", type=int, default=0, metavar="N", help="pairs to report on")
    scenes.add_argument("--seed", type=int, default=default.seed, help="of the whole data set")
    scenes.add_argument("--jitter", type=float, default=default.jitter, help="movement of camera and light; 0: fixed")
    scenes.add_argument("--width", type=int, default=default.width, help="pixels")
    scenes.add_argument("--height", type=int, default=default.height, help="pixels")
    scenes.add_argument("--references", type=int, default=default.references, help=f"per pair, 1-{MOST_REFERENCES}")
    scenes.add_argument("--masks", action="store_true", help="add object masks and the scenes' objects")
    scenes.add_argument("--num_proc", type=int, default=1, metavar="N", help="processes that render")
    scenes.set_defaults(run=_scenes, stopped="stopped; the same command continues where it was")
    add_audit(commands)
    add_push(commands)
    add_instruct(commands)
    add_synthesize(commands)
    return parser


def _scenes(args: argparse.Namespace) -> int:
    names = ("seed", "jitter", "width", "height", "masks", "references")
    try:
        settings = SceneSettings(**{name: getattr(args, name) for name in names})
    except ValueError as error:
        raise WrongUse(str(error)) from error
    sizes = {"train": args.train, "validation": args.validation, "test": args.test}
    try:
        rows = write_scenes(args.out, sizes, settings, args.num_proc)
    except TimeoutError:
        raise ValueError(f"another process is writing into {args.out}") from None
    print(f"{args.out}: {', '.join(f'{count} {split}' for split, count in rows.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
