"""What `syned synthesize` takes besides the editor's own work: time, memory, and a new start after an interruption.

    python benchmarks/synthesis.py [--what overhead select memory resume] [--blocks 3]
    python benchmarks/synthesis.py --what overhead --device cuda

- overhead: `synthesize`, from image files to a finished folder, beside a bare loop that loads the same random
  InstructPix2Pix pipeline, reads the same files, makes the same images in the same calls and saves them as PNG. They
  take turns. Printed are medians over blocks with their range, by the clock and by the processor's time; where the
  clock's time outside of the pipeline's calls goes; and what that would be of pipelines that take longer for an image.
  Ours encodes images in another thread while the next are made: leave it a core.
- select: a changed limit of a filter on a finished run of 10,000 rows, beside pyarrow copying the same bytes.
- memory: the most that a process takes for some rows and for 20 times as many (`VmHWM` of Linux), for rendered scenes
  with the procedural editor, and for image files with an editor that takes no time; with an allocator that returns
  what is freed, as what others keep differs by more from run to run.
- resume: seconds from a process's start until it adds a part to a run of which 95 % are done, beside a new run.

On a GPU the pipeline has the size of Stable Diffusion 1.5, in half precision.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # a script's own folder comes first, and `metrics` is a file of it
    sys.path[0] = str(ROOT)

from benchmarks.synthesis_runs import (  # noqa: E402
    measure_memory,
    measure_resume,
    measure_selection,
    report_memory,
    report_resume,
    report_selection,
    save_sources,
)

WHAT = ("overhead", "select", "memory", "resume")
STEPS = {"tiny": 1, "small": 3, "full": 100}
TIMES = 20


def overhead(args) -> bool:
    import datasets
    import torch
    import transformers

    from benchmarks.synthesis_overhead import measure_overhead, report_overhead
    from benchmarks.synthesis_pipelines import save_pipeline

    torch.set_num_threads(args.threads)
    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        pipeline, sources = Path(folder, "pipeline"), Path(folder, "sources")
        save_pipeline(args.geometry, pipeline, torch.float32 if args.device == "cpu" else torch.float16)
        save_sources(args.sources, args.side, sources)
        measured = measure_overhead(pipeline, sources, args)
    return report_overhead(*measured, args.sources * args.variants, args)


def selection(args) -> bool:
    return report_selection(measure_selection(args.selected))


def counts(args) -> tuple[int, int]:
    return args.runs_of, TIMES * args.runs_of


def memory(args) -> bool:
    return report_memory(measure_memory(counts(args), args.jobs), counts(args))


def resume(args) -> bool:
    report_resume(measure_resume(counts(args)))
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", default=WHAT, choices=WHAT)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--geometry", choices=STEPS, help="of the pipeline; small on a CPU, full on a GPU")
    parser.add_argument("--steps", type=int, help="of the pipeline; 3 of the small one, 100 of the full one")
    parser.add_argument("--side", type=int, default=512, help="of its images, in pixels")
    parser.add_argument("--sources", type=int, default=6, help="of each block")
    parser.add_argument("--variants", type=int, default=8, help="of a source")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--runs_of", type=int, default=100, help="sources of the smaller runs of memory and resume")
    parser.add_argument("--selected", type=int, default=1250, help="sources of the run whose limit is changed")
    parser.add_argument("--jobs", type=int, default=2, help="runs of memory at a time")
    args = parser.parse_args()
    args.geometry = args.geometry or ("small" if args.device == "cpu" else "full")
    args.steps = args.steps or STEPS[args.geometry]
    missed = [
        {"overhead": overhead, "select": selection, "memory": memory, "resume": resume}[what](args)
        for what in args.what
    ]
    raise SystemExit(any(missed))


if __name__ == "__main__":
    main()
