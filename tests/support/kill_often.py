"""
Begins a run in child processes that are killed at random moments, until a number of them were: `python -m
tests.support.kill_often OUT SEED KILLS`. A run that ends before it is killed is moved to OUT-1,
OUT-2, ..., and another one begins. The last one is left to end. Prints a line of JSON: where each kill fell, and the
folders.

The children are forks of a process that has imported everything, so that a moment is one of the run. A kill falls some
time after the run has written so many files more: on a machine that is busy no later in the run than on another.
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
from tests.support.synthesis_runs import FILTERS, settings

MOST, LONGEST = 3, 0.05  # files until a kill, and seconds from there


def run(out: Path) -> None:
    """A run that is extended in the same process; begun again it is first cut down, and then extended again."""
    synthesize(settings(sources=5, variants=3, filters=FILTERS), out)
    synthesize(settings(sources=10, variants=4, filters=FILTERS), out)


def written(out: Path) -> tuple[bool, int, int]:
    """Whether there is a plan, and how many tables of stages and files of the result."""
    stages, shards = (len(list(out.glob(f"{name}/[!.]*.parquet"))) for name in ("[es]*/**", "data"))
    return (out / "synthesis.json").exists(), stages, shards


def main(out: Path, seed: int, kills: int) -> dict:
    rng, moments, finished = random.Random(seed), [], []
    while True:
        child = os.fork()
        if not child:
            try:
                run(out)
            finally:
                os._exit(sys.exc_info()[0] is not None)
        status = None
        if len(moments) < kills:
            enough = sum(written(out)) + rng.randint(0, MOST)
            while sum(written(out)) < enough and status is None:
                done, ended = os.waitpid(child, os.WNOHANG)
                status = ended if done else None
                time.sleep(0.002)
            if status is None:
                time.sleep(rng.uniform(0, LONGEST))
                os.kill(child, signal.SIGKILL)  # one that has ended is still there until it is waited for
                status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                moments.append("{} plan, {} tables, {} files".format(*written(out)))
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
