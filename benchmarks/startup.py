"""How long until the command says something? Processor time of `--help` beside `hf --help`, and of a first caption.

    python benchmarks/startup.py [--runs 5]

Each command is a process of its own; they take turns, and the shortest of the runs of each counts. `hf` is
huggingface_hub's. A caption is that of a bundled pair by the embedded model, beside what importing torch, transformers
and its BLIP-2 takes without us.

Exits with 1 if a `--help` takes more than half a second, or a caption more than a second longer than importing torch
and transformers.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

HELP_BAR, CAPTION_BAR = 0.5, 1.0  # seconds of processor time
COMMANDS = ("", "caption", "demo", "serve", "push", "push-space", "merge", "import-adapter", "canvas")
SCRIPTS = ("train_trainer", "evaluate_idc")  # blip2idc-train and blip2idc-evaluate
ROOT = Path(__file__).parents[1]
EXAMPLE = [str(ROOT / "modeling_blip2idc" / "examples" / f"color_{side}.png") for side in ("before", "after")]


IMPORTS = "import torch, transformers"
BLIP2 = "import torch; from transformers import Blip2ForConditionalGeneration"


def seconds(command):
    """Processor time of a process, user and system."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = range(parser.parse_args().runs)
    blip2idc, hf = ([sys.executable, "-m", module] for module in ("blip2idc_cli", "huggingface_hub.cli.hf"))
    helps = {f"blip2idc {name} --help".replace("  ", " "): [*blip2idc, *name.split(), "--help"] for name in COMMANDS}
    helps |= {f"{name}.py --help": [sys.executable, str(ROOT / f"{name}.py"), "--help"] for name in SCRIPTS}
    commands = helps | {"hf --help": [*hf, "--help"], "blip2idc BEFORE AFTER": [*blip2idc, *EXAMPLE]}
    commands |= {code: [sys.executable, "-c", code] for code in (IMPORTS, BLIP2)}
    rounds = [{name: seconds(command) for name, command in commands.items()} for _ in runs]
    took = {name: min(each[name] for each in rounds) for name in commands}
    for name, least in took.items():
        print(f"{least:.2f} s  {name}")
    caption = took["blip2idc BEFORE AFTER"]
    for code in (IMPORTS, BLIP2):
        print(f"a caption takes {caption - took[code]:+.2f} s, {caption / took[code]:.2f} x as long as {code}")
    late = max(took[name] for name in helps) > HELP_BAR or caption - took[IMPORTS] > CAPTION_BAR
    sys.exit(late)


if __name__ == "__main__":
    main()
