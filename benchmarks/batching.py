"""Captioning in batches against one pair at a time, with the embedded model on the test split of the scenes.

    python benchmarks/batching.py [--pairs 2000] [--batch_size 32]

Prints the ratio of the two rates, both measured in this run, and on how many pairs the captions differ: none should.
"""

import argparse
import time

from datasets import load_dataset
from transformers import pipeline

import datasets_syned  # noqa: F401  registers the data set
import modeling_blip2idc  # noqa: F401  registers the task


def caption(idc, rows, batch_size):
    pairs = ((row["before"], row["after"]) for row in rows)
    start = time.perf_counter()
    captions = [result[0]["generated_text"] for result in idc(pairs, batch_size=batch_size)]
    return captions, len(captions) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--batch_size", type=int, default=32)
    args = parser.parse_args()
    rows = load_dataset("syned", "scenes", split="test", train=0, validation=0, test=args.pairs, num_proc=2)
    idc = pipeline("image-difference-captioning")
    single, slow = caption(idc, rows, 1)
    batched, fast = caption(idc, rows, args.batch_size)
    differing = sum(a != b for a, b in zip(single, batched, strict=True))
    print(f"one at a time {slow:.1f} pairs/s, batch {args.batch_size} {fast:.1f} pairs/s: {fast / slow:.2f}x")
    print(f"captions that differ: {differing} of {len(single)}")
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    main()
