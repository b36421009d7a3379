"""Training with `IDCTrainer` against the authors' loop (`authors_loop.py`): same weights, rows and batch size, LoRA.

    python benchmarks/training.py [--geometry mini mid] [--blocks 5] [--threads 1] [--bf16]
    python benchmarks/training.py --geometry full --device cuda --workers 12 [--round_trip]

Each side is a process with a loader of its own. On a CPU they take turns, block by block of a few steps; on a GPU one
comes after the other, as each needs the memory. Each figure is printed when it is there; then medians over the blocks
with their range, and:

- ours / peer: pairs per second, files and rows to taken steps;
- loader / model: pairs per second of one loader process alone, and of the model fed from memory;
- processor time of the training process, without that of loaders: it says more where others use the machine, too;
- on a GPU peak memory and model FLOPs utilisation: pairs per second, times the FLOPs of a pair, by the card's peak.

With `--round_trip` an adapter is trained for a few steps, saved, and loaded over the same base: are the logits the
same, and how many captions a second are generated?

Geometries: `mini`, the embedded model on rendered scenes; `mid` and `full` (that of Salesforce/blip2-opt-2.7b) with
random weights, on JPEG files of 500x400. Of our packages' requirements only `mini` needs `datasets`.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from peft import PeftModel, get_peft_model
from transformers import PrinterCallback, Seq2SeqTrainingArguments, TrainerCallback, logging

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # a script's own folder comes first, and `metrics` is a file of it
    sys.path[0] = str(ROOT)
if find_spec("datasets") is None:  # which the package loads, and the two modules that are needed here do not
    sys.modules["datasets_syned"] = ModuleType("datasets_syned")
    sys.modules["datasets_syned"].__path__ = [str(ROOT / "datasets_syned")]

from benchmarks.authors_loop import LEARNING_RATE, RANK, AuthorsLoop  # noqa: E402
from benchmarks.training_geometries import BATCH, STEPS, TOWERS, build, count_flops, load_rows  # noqa: E402
from datasets_syned.training.augmentation import BlurJPEG  # noqa: E402
from datasets_syned.training.collator import IDCCollator  # noqa: E402
from modeling_blip2idc.loading.lora import lora_config  # noqa: E402
from modeling_blip2idc.training.trainer import IDCTrainer  # noqa: E402

BARS = {"ours / peer": {"cpu": 1.2, "cuda": 1.5}, "loader / model": 3.0, "peak memory": 0.7, "utilisation": 0.45}
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312}  # dense, 16 bits, from NVIDIA's data sheets


class Clock(TrainerCallback):
    """
    Times the steps of a block. Those before them empty the loader's queue, of two batches for each worker.

    Args:
        geometry (`str`): whose batch size and number of steps count.
        workers (`int`): of the loader.
    """

    def __init__(self, geometry, workers):
        self.first = 1 + 2 * workers
        self.last = self.first + STEPS[geometry]
        self.pairs, self.times = BATCH[geometry] * STEPS[geometry], []

    def step_ends(self, step):
        if step in (self.first, self.last):
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            self.times.append((time.perf_counter(), time.process_time()))

    def on_step_end(self, args, state, control, **kwargs):
        self.step_ends(state.global_step)

    def rates(self):
        """Pairs per second, and processor milliseconds per pair."""
        wall, processor = (end - start for start, end in zip(*self.times, strict=True))
        return {"pairs/s": self.pairs / wall, "processor ms": 1000 * processor / self.pairs}


class Ours:
    """`IDCTrainer` and the collator with LoRA of the same rank on all towers, blur and JPEG compression."""

    def __init__(self, geometry, folder, args):
        self.geometry, self.args, self.rows = geometry, args, load_rows(geometry, folder)
        model, processor = build(geometry, args.device)
        self.collator = IDCCollator(processor, augment=BlurJPEG())
        self.model = get_peft_model(model, lora_config(r=RANK, lora_alpha=2 * RANK))
        self.batches = [
            self.collator([self.rows[BATCH[geometry] * i + k] for k in range(BATCH[geometry])]) for i in range(4)
        ]
        tokens = self.batches[0]["input_ids"].shape[1]
        learned = int(self.batches[0]["labels"].ne(-100).any(0).sum()) + 1
        self.flops = count_flops(self.model, tokens, learned)

    def trainer(self, folder, clock, rows, collator, workers):
        args = Seq2SeqTrainingArguments(
            folder, use_cpu=self.args.device == "cpu", bf16=self.args.bf16, learning_rate=LEARNING_RATE,
            per_device_train_batch_size=BATCH[self.geometry], max_steps=clock.last, dataloader_num_workers=workers,
            remove_unused_columns=False, report_to="none", save_strategy="no", logging_strategy="no",
            disable_tqdm=True,
        )  # fmt: skip
        trainer = IDCTrainer(self.model, args, data_collator=collator, train_dataset=rows, callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        return trainer

    def training(self):
        return self._train(self.rows, self.collator, self.args.workers)

    def model_alone(self):
        turns = itertools.cycle(self.batches)
        return self._train([{}] * len(self.rows), lambda rows: dict(next(turns)), 0)

    def _train(self, rows, collator, workers):
        clock = Clock(self.geometry, workers)
        with tempfile.TemporaryDirectory() as folder:
            self.trainer(folder, clock, rows, collator, workers).train()
        rates = clock.rates()
        return {**rates, "GFLOP/s": rates["pairs/s"] * self.flops / 1e9}

    def loader_alone(self):
        clock = Clock(self.geometry, 1)
        with tempfile.TemporaryDirectory() as folder:
            loader = self.trainer(folder, clock, self.rows, self.collator, 1).get_train_dataloader()
            for step, _ in enumerate(itertools.islice(loader, clock.last), 1):
                clock.step_ends(step)
        return clock.rates()


class Peer:
    """The authors' loop."""

    def __init__(self, geometry, folder, args):
        self.geometry, self.workers = geometry, args.workers
        model, processor = build(geometry, args.device)
        self.loop = AuthorsLoop(model, processor, load_rows(geometry, folder), BATCH[geometry], args.workers)

    def training(self):
        clock = Clock(self.geometry, self.workers)
        for step, _ in enumerate(self.loop.steps(clock.last), 1):
            clock.step_ends(step)
        return clock.rates()


MEASURED = {Ours: ("training", "model_alone", "loader_alone"), Peer: ("training",)}


def serve(side, connection, *arguments):
    """Measures what it is asked for, in a process of its own, until nobody asks any more."""
    logging.set_verbosity_error()
    multiprocessing.set_start_method(None, force=True)  # loaders start as usual, and not as this process was
    torch.set_num_threads(arguments[-1].threads)
    measured = side(*arguments)
    with contextlib.suppress(EOFError):
        while True:
            what = connection.recv()
            if torch.cuda.is_initialized():
                torch.cuda.reset_peak_memory_stats()
            result = getattr(measured, what)()
            if torch.cuda.is_initialized():
                result["peak GiB"] = torch.cuda.max_memory_allocated() / 2**30
            connection.send(result)


@contextlib.contextmanager
def process_of(side, *arguments):
    """A function that measures one of `MEASURED[side]` in another process."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(side, theirs, *arguments))
    process.start()
    theirs.close()

    def ask(what):
        ours.send(what)
        return ours.recv()

    try:
        yield ask
    finally:
        ours.close()
        process.join()


def measure(geometry, args):
    """Figures of each block, `{(side, what): {figure: [values]}}`."""
    together = [list(MEASURED)] if args.device == "cpu" else [[side] for side in MEASURED]
    found = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        load_rows(geometry, folder)
        for sides in together:
            with contextlib.ExitStack() as stack:
                asking = {side: stack.enter_context(process_of(side, geometry, folder, args)) for side in sides}
                turns = [(side, what) for side in sides for what in MEASURED[side]]
                for side, what in turns * args.blocks:
                    figures = asking[side](what)
                    line = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                    print(f"  {geometry} {side.__name__.lower()} {what}: {line}", flush=True)
                    for figure, value in figures.items():
                        found[side.__name__.lower(), what][figure].append(value)
    return found


def round_trip(geometry, args, steps=3, tokens=30):
    """Trains, saves and loads an adapter. Prints what it takes; returns whether the logits are the same."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        ours = Ours(geometry, folder, args)
        print(f"  {geometry} built in {time.perf_counter() - began:.1f} s", flush=True)
        (clock := Clock(geometry, 0)).last = steps
        trainer = ours.trainer(folder, clock, ours.rows, ours.collator, 0)
        loss = trainer.train().training_loss
        trainer.save_model(folder)
        batch = ours.batches[0].to(args.device)
        inputs = {name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")}
        began = time.perf_counter()
        loaded = PeftModel.from_pretrained(build(geometry, args.device)[0], folder).eval()
        print(f"  {geometry} loss {loss:.3f}; adapter loaded in {time.perf_counter() - began:.1f} s", flush=True)
        with torch.no_grad():
            trained = trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)  # no autocast
            kept, again = (model(**inputs).logits for model in (trained.eval(), loaded))
            with loaded.disable_adapter():
                without = loaded(**inputs).logits
        changed = (kept - without).abs().max().item()
        same = torch.equal(kept, again)
        print(
            f"  {geometry} loaded logits {'the same' if same else 'DIFFER'}; the adapter adds {changed:.3g}",
            flush=True,
        )
        prompt = int(batch["labels"].ne(-100).any(0).int().argmax())
        inputs |= {name: inputs[name][:, :prompt] for name in inputs if name != "pixel_values"}
        for _ in range(2):  # the first one warms up
            began = time.perf_counter()
            loaded.generate(**inputs, min_new_tokens=tokens, max_new_tokens=tokens).tolist()
            rate = BATCH[geometry] / (time.perf_counter() - began)
        print(f"  {geometry} {rate:.1f} greedy captions of {tokens} tokens a second", flush=True)
    return same and changed > 0


def middle(values, unit=""):
    return f"{statistics.median(values):.4g}{unit} ({min(values):.4g} to {max(values):.4g})"


def report(geometry, found, args):
    """Prints the figures of a geometry; returns whether a bar is missed."""
    print(f"{geometry}: batch {BATCH[geometry]}, {args.blocks} blocks of {STEPS[geometry]} steps")
    for (side, what), figures in found.items():
        print(f"  {side + ' ' + what:20}", ", ".join(f"{name} {middle(values)}" for name, values in figures.items()))
    rate = {key: figures["pairs/s"] for key, figures in found.items()}
    ratios = {
        "ours / peer": (rate["ours", "training"], rate["peer", "training"], BARS["ours / peer"][args.device]),
        "loader / model": (rate["ours", "loader_alone"], rate["ours", "model_alone"], BARS["loader / model"]),
    }
    missed = False
    for name, (ours, other, bar) in ratios.items():
        pairwise = [a / b for a, b in zip(ours, other, strict=True)]
        ratio = statistics.median(pairwise)
        missed |= ratio < bar
        print(f"  {name:20} {middle(pairwise, 'x')}, bar {bar}x")
    processor = [found[side, "training"]["processor ms"] for side in ("peer", "ours")]
    print(f"  {'in processor time':20} {middle([a / b for a, b in zip(*processor, strict=True)], 'x')}")
    if args.device == "cuda":
        ours, peer = (max(found[side, "training"]["peak GiB"]) for side in ("ours", "peer"))
        used = statistics.median(found["ours", "training"]["GFLOP/s"]) / args.peak_tflops / 1e3
        print(f"  {'peak memory':20} {ours / peer:.2f}x, bar {BARS['peak memory']}x")
        print(f"  {'utilisation':20} {used:.1%} of {args.peak_tflops} TFLOP/s, goal {BARS['utilisation']:.0%}")
        missed |= ours / peer > BARS["peak memory"]
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geometry", nargs="+", default=["mini", "mid"], choices=["mini", *TOWERS])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of a training process")
    parser.add_argument("--workers", type=int, default=1, help="loader processes of each side")
    parser.add_argument("--bf16", action="store_true", help="ours in mixed precision on a CPU, as on a GPU always")
    parser.add_argument("--peak_tflops", type=float, help="of a card that is not known here, in 16 bits")
    parser.add_argument("--round_trip", action="store_true", help="an adapter saved and loaded, at the end")
    args = parser.parse_args()
    if args.device == "cuda":
        args.bf16, card = True, torch.cuda.get_device_name()
        known = [peak for name, peak in PEAK_TFLOPS.items() if name in card]
        if not known and args.peak_tflops is None:
            parser.error(f"the peak of {card} is not known here: give --peak_tflops, of its data sheet")
        args.peak_tflops = args.peak_tflops or known[0]
    missed = [report(geometry, measure(geometry, args), args) for geometry in args.geometry]
    if args.round_trip:
        missed += [not round_trip(geometry, args) for geometry in args.geometry]
    raise SystemExit(any(missed))


if __name__ == "__main__":
    main()
