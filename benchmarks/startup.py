"""How long until the command says something? Processor time of `--help` beside `hf --help`, and of a first caption.

    python benchmarks/startup.py [--runs 5]

Each command is a process of its own; the shortest of the runs counts. `hf` is huggingface_hub's. A caption is that of
a bundled pair by the embedded model; beside it, what importing torch, transformers and its BLIP-2 takes without us.

Exits with 1 if a `--help` takes more than half a second.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

BAR = 0.5  # seconds of processor time
COMMANDS = ("", "caption", "demo", "serve", "push", "push-space", "merge", "import-adapter", "canvas")
ROOT = Path(__file__).parents[1]
EXAMPLE = [str(ROOT / "modeling_blip2idc" / "examples" / f"color_{side}.png") for side in ("before", "after")]


def seconds(command, runs):
    """Processor time of a process, user and system: the least of some runs."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    found = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    blip2idc, hf = ([sys.executable, "-m", module] for module in ("blip2idc_cli", "huggingface_hub.cli.hf"))
    helps = {name: seconds([*blip2idc, *name.split(), "--help"], runs) for name in COMMANDS}
    for name, took in helps.items():
        print(f"blip2idc {name} --help".replace("  ", " ") + f": {took:.2f} s")
    print(f"hf --help: {seconds([*hf, '--help'], runs):.2f} s")
    print(f"blip2idc BEFORE AFTER: {seconds([*blip2idc, *EXAMPLE], runs):.2f} s")
    for code in ("import torch, transformers", "import torch; from transformers import Blip2ForConditionalGeneration"):
        print(f"{code}: {seconds([sys.executable, '-c', code], runs):.2f} s")
    sys.exit(max(helps.values()) > BAR)


if __name__ == "__main__":
    main()
