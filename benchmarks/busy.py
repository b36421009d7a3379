"""How fast is the pipeline beside other programs? With torch's threads as they are, and with threads that sleep.

    python benchmarks/busy.py [--others 2] [--seconds 10] [--rounds 3] [--batch_size 32]

While the threads of torch wait for each other they spin, on cores that others need; with `OMP_WAIT_POLICY=PASSIVE`,
which is read when torch is loaded, they sleep. The embedded model captions the bundled pairs again and again in a
process of its own, as many threads as cores, alone and beside other processes that compute without a pause. The four
take turns; the median of the rounds counts. Run it on a machine that does nothing else: the load before is printed.

Exits with 1 if the captions differ, or if sleeping threads are not the faster beside others.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

CAPTION = """
import json, sys, time
from modeling_blip2idc import load_image
from modeling_blip2idc.loading.examples import load_examples
from transformers import logging, pipeline
logging.set_verbosity_error()
logging.disable_progress_bar()
batch_size, seconds = int(sys.argv[1]), float(sys.argv[2])
pairs = [tuple(load_image(row[side]) for side in ("before", "after")) for row in load_examples()]
idc = pipeline("image-difference-captioning")
captions, count = [said["generated_text"] for said, *_ in idc(pairs, batch_size=6)], 0
begin = time.perf_counter()
while (taken := time.perf_counter() - begin) < seconds:
    count += len(idc(pairs * 16, batch_size=batch_size))
print(json.dumps([count / taken, captions]))
"""
SPIN = "while True: pass"


def rate(policy, others, args):
    """Pairs a second beside so many other processes, and the captions."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[1]), **({"OMP_WAIT_POLICY": policy} if policy else {})}
    busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(others)]
    try:
        command = [sys.executable, "-c", CAPTION, str(args.batch_size), str(args.seconds)]
        return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--others", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=32)
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load before: {os.getloadavg()[0]:.2f}")
    runs = {(others, policy): [] for others in (0, args.others) for policy in (None, "PASSIVE")}
    for _ in range(args.rounds):
        for (others, policy), seen in runs.items():
            seen.append(rate(policy, others, args))
    middle = {key: statistics.median(pairs for pairs, _ in seen) for key, seen in runs.items()}
    for (others, policy), pairs in middle.items():
        print(f"{others} other processes, OMP_WAIT_POLICY {policy or 'unset'}: {pairs:.1f} pairs/s")
    ratio = middle[args.others, "PASSIVE"] / middle[args.others, None]
    print(f"beside others, PASSIVE is {ratio:.2f} x as fast; alone {middle[0, 'PASSIVE'] / middle[0, None]:.2f} x")
    differ = len({tuple(captions) for seen in runs.values() for _, captions in seen}) > 1
    sys.exit(differ or ratio <= 1)


if __name__ == "__main__":
    main()
