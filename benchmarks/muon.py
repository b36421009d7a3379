"""Training steps of `make mini` with Muon in float32 and in bfloat16, against AdamW, on a processor without bfloat16.

    python benchmarks/muon.py [--steps 12] [--isa AVX2]

Each optimizer is a process of its own with one thread. ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY tell its libraries
to use no instructions beyond `--isa`, so that any processor emulates bfloat16; `--isa ALL` takes those that there are.
A step is forward, backward and update of recipes/embedded.yaml. The median of the steps counts.

Exits with 1 if a step with Muon in float32, which is what such a processor gets, takes more than 1.5 times AdamW's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAR = 1.5
ROOT = Path(__file__).resolve().parents[1]
KINDS = {"AdamW": None, "Muon, float32": True, "Muon, bfloat16": False}


def steps(kind, count):
    """Seconds of each step with an optimizer."""
    from transformers import TrainerCallback

    from datasets_syned.training import training_data
    from train_arguments import parse
    from train_trainer import make_trainer

    class Clock(TrainerCallback):
        found = []

        def on_step_begin(self, args, state, control, **kwargs):
            self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            self.found.append(time.perf_counter() - self.began)

    data = {"path": "syned", "name": "scenes", "split": "train", "validation": 0, "test": 0, "masks": True}
    data |= {"train": 64, "references": 6, "num_proc": 1}
    with tempfile.TemporaryDirectory() as folder:
        words = ["--output_dir", folder, "--max_steps", count, "--dataloader_num_workers", 0, "--num_proc", 1]
        words += ["--dataloader_persistent_workers", "false", "--train_data", json.dumps([data, {**data, "seed": 1}])]
        words += ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true", "--report_to", "none"]
        words += ["--lr_scheduler_type", "constant", "--lr_scheduler_kwargs", "{}", "--use_cpu", "true"]
        model, data, args = parse([str(ROOT / "recipes" / "embedded.yaml"), *map(str, words)])
        if KINDS[kind] is None:
            args.muon_lr = None
        trainer = make_trainer(model, data, args, [training_data.load(spec) for spec in data.train_data], None)
        trainer.create_optimizer()
        for part in getattr(trainer.optimizer, "parts", [])[:1]:
            part.param_groups[0]["float32"] = KINDS[kind]
        trainer.add_callback(clock := Clock())
        trainer.train()
    return clock.found


def measure(kind, count, isa):
    """The median step in a process that may use some instructions only."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if isa != "ALL":
        env |= {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": "avx2" if "512" not in isa else "avx512"}
    command = [sys.executable, __file__, "--only", kind, "--steps", str(count)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True)
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[2:])  # the first ones warm up


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="of each optimizer, the two that warm up included")
    parser.add_argument("--isa", default="AVX2", help="AVX2, AVX512_CORE or ALL")
    parser.add_argument("--only", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(steps(args.only, args.steps)))
        return
    found = {}
    for kind in KINDS:
        found[kind] = measure(kind, args.steps, args.isa)
        ratio = found[kind] / found["AdamW"]
        minutes = 15_000 * found[kind] / 60
        print(f"{kind}: {found[kind]:.3f} s a step, {ratio:.2f} of AdamW's; {minutes:.0f} minutes", flush=True)
    sys.exit(found["Muon, float32"] / found["AdamW"] > BAR)


if __name__ == "__main__":
    main()
