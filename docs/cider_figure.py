"""Draws what CIDEr is and is not, from the annotation files of Spot-the-Diff and Image Editing Request.

    python docs/cider_figure.py [--annotations FOLDER] [--out docs/cider.png]

FOLDER holds `spot_the_diff/test.json` and `image_editing_request/test.json` as their authors distribute them. Prints
numbers that docs/cider.md quotes; people stand in for systems, since theirs are the captions that everybody has.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

from metrics.cider import DocumentFrequencies, constant_caption, leave_one_out, score, tokenize
from metrics.cider.ngrams import Corpus, count_ngrams

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NAMES = {"spot_the_diff": "Spot-the-Diff", "image_editing_request": "Image Editing Request"}
COLORS = {"spot_the_diff": "#1f6f8b", "image_editing_request": "#c1592b"}
# CIDEr x100 on the test split of Spot-the-Diff that the BLIP2IDC paper (arXiv 2412.15939) gives for itself and for its
# nearest rival.
PUBLISHED = (51.4, 47.4)


def read(folder):
    """`{benchmark: references of each image}` of the test splits, empty captions left out."""
    pairs = {}
    for row in json.loads((folder / "spot_the_diff" / "test.json").read_text(encoding="utf-8")):
        pairs.setdefault(row["img_id"], []).extend(filter(str.strip, row["sentences"]))
    edits = json.loads((folder / "image_editing_request" / "test.json").read_text(encoding="utf-8"))
    return {
        "spot_the_diff": [refs for refs in pairs.values() if refs],
        "image_editing_request": [row["sents"] for row in edits],
    }


def draw_sizes(axis, references, draws=400):
    """CIDEr of the same captions, one person's against the others', with more and fewer images around them."""
    for name, refs in references.items():
        several = [row for row in refs if len(row) > 1]
        predictions, others = [row[0] for row in several], [row[1:] for row in several]
        saved = DocumentFrequencies.from_references(refs)
        sizes = [3, 5, 8, 13, 25, 50, 100, 200, 400]
        generator = np.random.default_rng(0)
        means = []
        for size in sizes:
            chosen = [generator.choice(len(several), size, replace=False) for _ in range(draws)]
            rows = [([predictions[k] for k in some], [others[k] for k in some]) for some in chosen]
            means.append([np.mean([score(*row, idf=idf)["cider"] for row in rows]) for idf in ("corpus", saved)])
        own, fixed = 100 * np.array(means).T
        axis.plot(sizes, own, color=COLORS[name], marker="o", markersize=4, label=f"{NAMES[name]}, own IDF")
        axis.plot(sizes, fixed, color=COLORS[name], linestyle=":", label="saved IDF of the test split")
        print(f"{name}: CIDEr of {sizes} images {np.round(own, 1).tolist()}, saved IDF {np.round(fixed, 1).tolist()}")
    axis.set(xscale="log", xlabel="images scored together", ylabel="CIDEr ×100", ylim=(0, None))
    axis.set_xticks(sizes, map(str, sizes))
    axis.minorticks_off()
    axis.set_title("The same captions, other numbers:\nCIDEr belongs to a corpus")
    axis.legend(frameon=False, fontsize=8)


def draw_rows(axis, references):
    """
    Floors and people with 95 % intervals, and two published rows. The captions behind those are not published: theirs
    is the interval that people would have on as many images.
    """
    rows = []
    for name, refs in references.items():
        constant = constant_caption(refs, confidence=0.95)
        people = leave_one_out(refs, confidence=0.95)
        print(f"{name}: constant {constant['caption']!r} {constant['cider']:.3f} {constant['cider_interval']}")
        print(f"{name}: people {people['cider']:.3f} {people['cider_interval']} on {people['count']} images")
        for label, result in (("people", people), ("one sentence for all", constant)):
            rows.append((f"{label}\n({NAMES[name]})", result["cider"], result["cider_interval"], COLORS[name]))
        if name == "spot_the_diff":
            half = np.diff(people["cider_interval"])[0] / 2 * (people["count"] / len(refs)) ** 0.5
            print(
                f"{name}: half width of people on {people['count'] * 100 // len(refs)} % of the images times "
                f"the root of that: {half:.3f}"
            )
            for label, value in zip(("BLIP2IDC", "its nearest rival"), PUBLISHED, strict=True):
                value /= 100
                rows.append((f"{label}, published\n({NAMES[name]})", value, [value - half, value + half], "#888888"))
    for place, (_, value, (low, high), color) in enumerate(reversed(rows)):
        axis.plot([100 * low, 100 * high], [place, place], color=color, linewidth=3, alpha=0.5)
        axis.plot(100 * value, place, "o", color=color)
        axis.annotate(f"{100 * value:.1f}", (100 * value, place), (0, 6), textcoords="offset points", ha="center")
    axis.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)], fontsize=8)
    axis.set(xlabel="CIDEr ×100, 95 % interval", xlim=(0, None), ylim=(-0.6, len(rows) - 0.3))
    axis.set_title("A lead of four points lies inside the interval")


def draw_weights(axis, references, sentence):
    """Weight of every word of a sentence."""
    idf = DocumentFrequencies.from_references(references)
    words = tokenize(sentence)
    counts = dict(zip(idf.words, idf.counts[0].tolist(), strict=True))
    weights = [np.log(idf.images / max(1, counts.get(word, 0))) for word in words]
    axis.bar(range(len(words)), weights, color="#1f6f8b")
    for place, word in enumerate(words):
        count = f"{counts.get(word, 0)}"
        axis.annotate(count, (place, weights[place]), (0, 2), textcoords="offset points", ha="center")
    axis.set_xticks(range(len(words)), words, rotation=30, ha="right")
    axis.set(ylabel="weight: log(images / images that have it)", ylim=(0, 1.12 * max(weights)))
    axis.set_title(f"What a word weighs in Spot-the-Diff ({idf.images} images;\non the bars: images that have it)")
    print("weights:", dict(zip(words, np.round(weights, 2).tolist(), strict=True)))


def plain_cider(predictions, references):
    """CIDEr as it was before the D: no clipping, no penalty on length (and no stemming)."""
    lines = [line for p, refs in zip(predictions, references, strict=True) for line in (p, *refs)]
    corpus = Corpus.from_lines([" ".join(tokenize(line)) for line in lines], [1 + len(refs) for refs in references])
    total = np.zeros(len(references))
    for grams in count_ngrams(corpus):
        idf = np.log(len(references) / np.maximum(1, grams.document_frequency))
        weight = grams.count * grams.spread(idf)
        norm = np.sqrt(np.bincount(grams.caption, weight**2, len(lines)))
        gram = grams.spread(np.arange(len(grams.keys)))
        vectors = np.zeros((len(lines), len(grams.keys)), np.float32)
        vectors[grams.caption, gram] = weight / np.where(norm[grams.caption] > 0, norm[grams.caption], 1)
        cosine = np.einsum("cg,cg->c", vectors, vectors[corpus.first[corpus.image_of]])
        cosine[corpus.first] = 0
        total += np.bincount(corpus.image_of, cosine, len(references)) / corpus.reference_counts
    return 10 * total.mean() / 4


def draw_gaming(axis, references, images=300):
    """Rare words of the references said over and over: CIDEr rewards it, CIDEr-D does not."""
    several = [row for row in references if len(row) > 1][:images]
    others = [row[1:] for row in several]
    times = range(1, 7)
    plain, clipped = [], []
    for repeat in times:
        predictions = [" ".join([row[0]] * repeat) for row in several]
        plain.append(100 * plain_cider(predictions, others))
        clipped.append(100 * score(predictions, others)["cider"])
    axis.plot(times, plain, color="#888888", marker="s", label="CIDEr (2015, unclipped)")
    axis.plot(times, clipped, color="#c1592b", marker="o", label="CIDEr-D, what every table calls CIDEr")
    axis.set(xlabel="how often a caption repeats itself", ylabel="CIDEr ×100", ylim=(0, None), xticks=times)
    axis.set_title("Why the D: a caption said again and again\n(a person's, Image Editing Request)")
    axis.legend(frameon=False, fontsize=8)
    print("repeated:", np.round(plain, 1).tolist(), np.round(clipped, 1).tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, default=ROOT.parent / "shared" / "annotations")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "cider.png")
    args = parser.parse_args()
    references = read(args.annotations)
    figure, axes = plt.subplots(2, 2, figsize=(12, 8.5), layout="constrained")
    draw_weights(axes[0, 0], references["spot_the_diff"], "the person in the red shirt by the dumpster is gone")
    draw_sizes(axes[0, 1], references)
    draw_gaming(axes[1, 0], references["image_editing_request"])
    draw_rows(axes[1, 1], references)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
