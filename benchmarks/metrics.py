"""The caption metrics against pycocoevalcap, stage by stage, on real captions perturbed.

    python benchmarks/metrics.py [--images 2022 40000] [--captions FILE] [--skip meteor]

Both sides get the same strings in this run, one after the other, and their results have to agree. Captions are those
of the annotation files beside the project or the lines of FILE; each image takes one of them, and its references and
its prediction are copies with words dropped, swapped and replaced. Needs Java and pycocoevalcap; takes 5 minutes.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

sys.path.pop(0)  # this folder, in which `metrics` is this file
from metrics.cider import score  # noqa: E402
from metrics.cider import tokenizer as ours  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
ANNOTATIONS = ROOT.parent / "shared" / "annotations"
REFERENCES = 5
# At least as fast as this, for a small and a large corpus (2,022 and 40,000 images).
BARS = {
    "tokenizer": (4, 6),
    "CIDEr": (15, 15),
    "ROUGE-L": (6, 6),
    "BLEU 1-4": (5, 5),
    "all four, from raw strings": (8, 8),
    "METEOR": (2.5, 1.1),
}
ALL = ("cider", "bleu", "rouge_l")


def annotation_captions():
    """Different captions of Spot-the-Diff, Image Editing Request and Syned."""
    captions = []
    for path in sorted(ANNOTATIONS.glob("*/*.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        if path.parent.name == "syned":
            lists = rows.values() if path.name.startswith("gt_") else ()
        else:
            lists = (row["sents" if "sents" in row else "sentences"] for row in rows)
        captions += [caption for row in lists for caption in row]
    for path in sorted(ANNOTATIONS.glob("syned/*.txt")):
        captions += [line.split("<INSTRUCT>")[1] for line in path.read_text(encoding="utf-8").splitlines()]
    return list(dict.fromkeys(" ".join(caption.split()) for caption in captions if caption.strip()))


def make_corpus(captions, images, seed=0):
    """`(predictions, references)`, perturbed copies of one caption for each image."""
    generator = random.Random(seed)
    vocabulary = [word for caption in captions for word in caption.split()]

    def perturbed(caption):
        words = caption.split()
        for _ in range(max(1, len(words) // 4)):
            place, what = generator.randrange(len(words)), generator.random()
            if what < 0.4:
                words[place] = generator.choice(vocabulary)
            elif what < 0.7 and len(words) > 2:
                del words[place]
            else:
                other = generator.randrange(len(words))
                words[place], words[other] = words[other], words[place]
        return " ".join(words)

    bases = generator.choices(captions, k=images)
    return [perturbed(base) for base in bases], [[perturbed(base) for _ in range(REFERENCES)] for base in bases]


def seconds(function, repeats=1):
    """Median wall time, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


@contextlib.contextmanager
def quiet_stderr():
    """The Java tokenizer reports to the standard error of the process."""
    keep = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(keep, 2)
        os.close(keep)


def java_tokens(captions):
    rows = [[row] if isinstance(row, str) else row for row in captions]
    with quiet_stderr():
        by_image = PTBTokenizer().tokenize({k: [{"caption": c} for c in row] for k, row in enumerate(rows)})
    return [by_image[k] for k in range(len(rows))]


def our_tokens(predictions, references):
    ours._CHUNKS.clear()  # nothing is remembered from before
    return ours.tokenize_all(predictions), [ours.tokenize_all(refs) for refs in references]


def compare_stages(predictions, references, skip):
    """Yields `(stage, reference's seconds, our seconds)`; raises where the results differ."""
    small = len(predictions) < 10_000
    again = 3 if small else 1

    theirs, (tokens, reference_tokens) = seconds(lambda: (java_tokens(predictions), java_tokens(references)))
    mine, own = seconds(lambda: our_tokens(predictions, references), again)
    tokens = [row[0] for row in tokens]
    differing = sum(a != b for a, b in zip(tokens, own[0], strict=True))
    differing += sum(a != b for a, b in zip(reference_tokens, own[1], strict=True))
    # There, "… art." keeps its period before a caption that begins with a digit; here every caption stands alone.
    print(f"  rows with other tokens: {differing}")
    yield "tokenizer", theirs, mine
    total = theirs

    truth, said = dict(enumerate(reference_tokens)), {k: [line] for k, line in enumerate(tokens)}
    for stage, key, scorer in (
        ("CIDEr", "cider", Cider()),
        ("ROUGE-L", "rouge_l", Rouge()),
        ("BLEU 1-4", "bleu", Bleu(4)),
    ):
        options = {"verbose": 0} if key == "bleu" else {}
        theirs, (value, _) = seconds(
            lambda scorer=scorer, options=options: scorer.compute_score(truth, said, **options)
        )
        mine, result = seconds(lambda key=key: score(tokens, reference_tokens, key, tokenize=False), again)
        found = [result[f"bleu_{n}"] for n in (1, 2, 3, 4)] if key == "bleu" else result[key]
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-9, err_msg=stage)
        total += theirs
        yield stage, theirs, mine

    mine, _ = seconds(lambda: (ours._CHUNKS.clear(), score(predictions, references, ALL)), again)
    yield "all four, from raw strings", total, mine

    if "meteor" not in skip:

        def run():
            scorer = Meteor()
            result = scorer.compute_score(truth, said)
            scorer.meteor_p.stdin.close()
            return result

        theirs, (value, _) = seconds(run)
        mine, result = seconds(lambda: score(tokens, reference_tokens, "meteor", tokenize=False))
        assert abs(result["meteor"] - value) < 1e-9, (result["meteor"], value)
        yield "METEOR", theirs, mine


def report_bootstrap(predictions, references, skip):
    scorers = ALL if "meteor" in skip else (*ALL, "meteor")
    score(predictions, references, scorers)  # METEOR's process is warm for both
    plain, _ = seconds(lambda: score(predictions, references, scorers), 3)
    both, _ = seconds(lambda: score(predictions, references, scorers, confidence=0.95), 3)
    names = ", ".join(scorers)
    print(f"1,000 resamples of {names}: {both - plain:.2f} s over the plain score of {plain:.2f} s (bar 3 s)")


def report_process(images, captions):
    """Peak memory and import time, in processes of their own."""
    code = (
        "import sys, json, time; start = time.perf_counter(); from metrics.cider import score;"
        "took = time.perf_counter() - start; import resource;"
        "score(*json.load(sys.stdin), ('cider', 'bleu', 'rouge_l')) if len(sys.argv) > 1 else None;"
        "print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    )
    took = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.split()[0])
        for _ in range(5)
    ]
    print(f"import of the plain function: {statistics.median(took):.2f} s (bar 0.5 s)")
    data = json.dumps(make_corpus(captions, images))
    done = subprocess.run([sys.executable, "-c", code, "score"], cwd=ROOT, input=data, capture_output=True, text=True)
    print(f"peak memory of all four at {images:,} x {REFERENCES}: {done.stdout.split()[1]:.4} GB (bar 1.5 GB)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[2022, 40_000])
    parser.add_argument("--captions", type=Path, help="a text file, one caption a line")
    parser.add_argument("--skip", nargs="*", default=[], choices=["meteor"])
    args = parser.parse_args()
    captions = args.captions.read_text("utf-8").splitlines() if args.captions else annotation_captions()
    if not captions:
        parser.error("no annotation files beside the project; give --captions FILE, one caption a line")
    missed = False
    for images in args.images:
        predictions, references = make_corpus(captions, images)
        print(f"{images:,} images x {REFERENCES} references ({len(captions):,} captions perturbed)")
        print(f"  {'stage':28}{'pycocoevalcap':>15}{'ours':>10}{'ratio':>10}{'bar':>8}")
        for stage, theirs, mine in compare_stages(predictions, references, args.skip):
            bar = BARS[stage][images >= 10_000]
            missed |= theirs / mine < bar
            print(f"  {stage:28}{theirs:13.2f} s{mine:8.3f} s{theirs / mine:9.1f}x{bar:7}x", flush=True)
    report_bootstrap(*make_corpus(captions, args.images[0]), args.skip)
    report_process(max(args.images), captions)
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
