"""
Begins a run in child processes that are killed at random moments, until a number of them were: `python -m
tests.datasets_syned.synthesis.kill_often OUT SEED KILLS`. A run that ends before it is killed is moved to OUT-1,
OUT-2, ..., and another one begins. The last one is left to end. Prints a line of JSON: where each kill fell, and the
folders.

The children are forks of a process that has imported everything, so that a moment is one of the run.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from datasets_syned.synthesis import synthesize
from tests.datasets_syned.synthesis.runs import FILTERS, settings

LONGEST = 0.4  # seconds until a kill: about what half of the run takes


def run(out: Path) -> None:
    synthesize(settings(sources=10, variants=4, filters=FILTERS), out)


def moment(out: Path) -> str:
    """What was there when the run was killed."""
    parts, shards = (len(list((out / name).glob("[!.]*"))) for name in ("parts", "data"))
    began = (out / "synthesis.json").exists()
    return f"{parts} parts, {shards} shards" if began else "no plan"


def main(out: Path, seed: int, kills: int) -> dict:
    rng, moments, finished, longest = random.Random(seed), [], [], LONGEST
    while True:
        child = os.fork()
        if not child:
            try:
                run(out)
            finally:
                os._exit(sys.exc_info()[0] is not None)
        status = None
        if len(moments) < kills:
            end = time.monotonic() + rng.uniform(0, longest)
            while time.monotonic() < end and status is None:
                done, ended = os.waitpid(child, os.WNOHANG)
                status = ended if done else None
                time.sleep(0.002)
            if status is None:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                moments.append(moment(out))
                # on a machine that is busy a run gets less far, and no kill would fall later
                longest = longest * 1.3 if moments[-2:-1] == moments[-1:] else LONGEST
                continue
        else:
            _, status = os.waitpid(child, 0)
        assert status == 0, f"the run failed with {status}"
        if len(moments) == kills:
            return {"moments": moments, "finished": [*finished, str(out)]}
        finished.append(f"{out}-{len(finished) + 1}")
        shutil.move(out, finished[-1])


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
