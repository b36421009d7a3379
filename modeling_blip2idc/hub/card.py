"""The model card of a training run: how it was made and what it scored, from its report."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .card_text import WITH, loading, seal

TEXT = """
# {title}

Two images in, the difference in a sentence out.

{loading}

## How it was made

{made}

## What it scored

{scores}{examples}

## Limits

{limits}
"""

CURVES = "\n\n![Loss and scores during training](curves.png)"
EXAMPLES = (
    "\n\nIts own captions of the first test pair of each kind, right or wrong, none of them picked:\n\n"
    "![Pairs of the test split with the captions that the model wrote](examples.png)"
)
MERGED = " The adapter was then merged into the weights; the scores are those from before that."
NOT_SCORED = "Not scored on a test split."
SCORED_ON = "On {data}: {count:,} pairs with {references:,} references."
READING = (
    "CIDEr is CIDEr-D as pycocoevalcap computes it, times 100, with document frequencies of all these pairs{each}. In "
    "brackets the {confidence:.4g} % interval of a bootstrap over the pairs."
)
EACH = "; of a category, *own* has those of its own pairs instead, as per-type tables of the field do"
FLOORS = "One sentence for every pair, the best one of the references (*{sentence}*), has a CIDEr of {cider:.1f}."
OTHERS = "A reference against the others of its pair has {cider:.1f}{of}."
NO_CHANGE = (
    "Of {actual} unchanged pairs, {recall:.1%} were called unchanged; of those called so, {precision:.1%} are "
    "(F1 {f1:.3f})."
)
ORACLE = (
    "A perfect describer, which draws one of the grammar's captions for the true change, has a CIDEr of {oracle:.1f}; "
    "the model has {share:.1%} of that."
)
SCENES = (
    "*Kind*: the kind of change is named right. *Words*: every attribute word of the changed object, and what it "
    "became, is right. *Exact*: the caption equals a reference (five of the grammar's six phrasings, so "
    "that a perfect describer has 83 %)."
)
SEEDS = "Over the seeds {seeds} CIDEr is {mean:.1f} with a standard deviation of {std:.1f} ({min:.1f} to {max:.1f})."
KEPT = "This is the model of seed {seed}, the best of them on the evaluation split."
ONLY_SCENES = (
    'It knows the rendered scenes of `load_dataset("syned")` and nothing else: a few shapes and colors on a gray '
    "floor, and the words for them. On photographs its sentences mean nothing. Use it to try the software, in tests, "
    "and as a start for experiments that have to be quick; for real images, fine-tune a real BLIP-2 with the same "
    "commands."
)
TRIED = "It was scored on the data named above and tried on nothing else. "
PHOTOGRAPHS = (
    "Its English sentences inherit the biases of the base model and of the people or programs that wrote the "
    "references; synthetic pairs also carry the mistakes of the editor that made them (paper, section 5.5). It names "
    "one change per pair, may name one where there is none, and its confidence is not calibrated: do not take its "
    "word as proof that a picture was manipulated, or was not."
)


def write_card(
    folder: str | os.PathLike,
    report: Mapping[str, Any],
    curves: str | os.PathLike | None = None,
    merged: bool = False,
) -> None:
    """
    Writes `README.md` into a model folder, with the scores in its header as well. No path of this machine is in it.
    It shows `examples.png`, if the folder has one.

    Args:
        folder (`str` or `os.PathLike`):
            Of the model.
        report (`dict`):
            As `train_trainer.py` writes it: `about`, how the model was made, and, if it was scored, what
            `metrics.report.build_report` returns, with `seeds` if there were several.
        curves (`str` or `os.PathLike`, *optional*):
            A picture of the run, which is copied beside the card.
        merged (`bool`, *optional*, defaults to `False`):
            Whether the folder has the whole model, though an adapter was trained.
    """
    about = report["about"]
    tuned = about.get("scratch") is None and about["tuning"] != "full"
    scored, adapter = "scores" in report, tuned and not merged
    if curves is not None and Path(curves).is_file():
        shutil.copyfile(curves, Path(folder) / "curves.png")
    data = ModelCardData(
        license="apache-2.0" if about["base"] is None else None,  # that of another base is for its authors to say
        language="en",
        library_name="peft" if adapter else "transformers",
        pipeline_tag="image-to-text",
        tags=["image-difference-captioning", "change-captioning", "blip-2", *(["lora"] if adapter else [])],
        base_model=about["base"] if about["base"] and "/" in about["base"] else None,
        model_name=about["model"] if scored else None,
        eval_results=_eval_results(report) if scored else None,
    )
    body = TEXT.format(
        title=_title(about, adapter),
        loading=WITH.format(argument="") if about.get("embed") else loading(adapter, about["base"] is None),
        made=_made(about, tuned) + (MERGED if tuned and merged else "") + _picture(folder, "curves.png", CURVES),
        examples=_picture(folder, "examples.png", EXAMPLES),
        scores=f"{_scored_on(report)}\n\n{_table(report)}\n\n{_reading(report)}" if scored else NOT_SCORED,
        limits=ONLY_SCENES if about.get("scratch") is not None else (TRIED if scored else "") + PHOTOGRAPHS,
    )
    file = Path(folder) / "README.md"
    file.write_text(seal(f"---\n{data.to_yaml()}\n---\n{body}"), encoding="utf-8")
    ModelCard.load(file)  # its header parses


def _picture(folder, name, shown):
    return shown if (Path(folder) / name).is_file() else ""


def _title(about, adapter):
    if about.get("scratch") is not None:
        return "BLIP2IDC mini: the embedded model" if about.get("embed") else "A small BLIP2IDC, trained from nothing"
    return "A BLIP2IDC adapter" if adapter else "A fine-tuned BLIP2IDC"


def _made(about, adapter):
    sets = "; ".join(_data_name(spec) for spec in about["train_data"])
    seen = f"{about['steps']:,} steps of {about['batch_size']} pairs ({about['epochs']:g} epochs) on: {sets}."
    if about.get("scratch") is not None:
        command = "`make mini` (recipes/embedded.yaml)" if about.get("embed") else "`train_trainer.py`"
        parts = "" if not about.get("lessons") else (
            " During training, linear heads on the vision tokens and on the Q-Former's output learned what the "
            "renderer knows about each patch; they are not part of the model."
        )  # fmt: skip
        return f"Trained from nothing by {command}, {seen}{parts}"
    base = "the embedded model" if about["base"] is None else about["base"]
    base += _revision(about)
    if adapter:
        how = f"LoRA of rank {about['rank']} (alpha {about['lora_alpha']}, dropout {about['lora_dropout']:g}) on "
        how += f"{', '.join(about['towers'])} ({about['targets']} targets) of {base}"
        how += ", quantized to four bits" if about["tuning"] == "qlora" else ""
    else:
        how = f"All weights of {base} were trained"
    trained = f"{about['trainable_parameters']['total']:,} trained parameters"
    rate = f"learning rate {about['learning_rate']:g}, {about['lr_scheduler_type']} schedule, seed {about['seed']}"
    best = f"; the checkpoint of step {about['best_step']:,} was the best one" if about.get("best_step") else ""
    augmented = " Training images were blurred and compressed at random." if about.get("augment") else ""
    return f"{how}, {seen} {trained}; {rate}{best}.{augmented}"


def _revision(about):
    named, commit = about.get("revision"), about.get("base_commit")
    if commit and named and commit != named:
        return f" (revision {named}, commit {commit})"
    return f" (revision {named or commit})" if named or commit else ""


def _data_name(spec):
    first = [str(spec[key]) for key in ("path", "name", "split") if key in spec]
    return " ".join(first + [f"{key}={value}" for key, value in spec.items() if key not in ("path", "name", "split")])


def _scored_on(report):
    return SCORED_ON.format(
        data=_data_name(report["about"]["test_data"]), count=report["count"], references=report["references"]
    )


def _eval_results(report):
    spec = report["about"]["test_data"]
    parts = [(None, report["scores"]), *(report["by_category"] or {}).items()]
    return [
        EvalResult(
            task_type="image-to-text",
            task_name="Image difference captioning",
            dataset_type=spec["path"],
            dataset_name=" ".join(spec[key] for key in ("path", "name") if key in spec),
            dataset_config=spec.get("name"),
            dataset_split=spec["split"],
            metric_type=metric,
            metric_name=label if category is None else f"{label}, {category}",
            metric_value=round(unit * scores[key], 4),
            metric_args=_metric_args(report, category, scores.get(f"{key}_interval"), unit),
        )
        for category, scores in parts
        for metric, label, key, unit in (
            ("cider", "CIDEr-D (x100)", "cider", 100),
            ("bleu", "BLEU-4", "bleu_4", 1),
            ("meteor", "METEOR", "meteor", 1),
            ("rouge", "ROUGE-L", "rouge_l", 1),
        )
        if key in scores
    ]


def _metric_args(report, category, interval, unit):
    """Of which pairs a score is, and how sure."""
    args = {} if category is None else {"category": str(category), "pairs": report["by_category"][category]["count"]}
    if interval is not None:
        args |= {"interval": [round(unit * end, 4) for end in interval], "confidence": report["confidence"]}
    return args or None


def _table(report):
    scenes, categories = report.get("scenes", {}), report["by_category"] or {}
    meteor = "meteor" in report["scores"]
    names = ["category", "pairs", "CIDEr", *(["own"] if categories else []), "BLEU-4"]
    names += [*(["METEOR"] if meteor else []), "ROUGE-L", *(["kind", "words", "exact"] if scenes else [])]
    lines = [names, ["---", *["---:"] * (len(names) - 1)]]
    for name, scores in (("all", {**report["scores"], "count": report["count"]}), *categories.items()):
        interval = scores.get("cider_interval")
        ends = "" if interval is None else f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
        cells = [_text(name), str(scores["count"]), f"{100 * scores['cider']:.1f}{ends}"]
        if categories:
            own = scores.get("cider_idf_category")
            cells.append("" if own is None else f"{100 * own:.1f}")
        cells.append(f"{scores['bleu_4']:.3f}")
        cells += [f"{scores['meteor']:.3f}"] if meteor else []
        cells.append(f"{scores['rouge_l']:.3f}")
        if scenes:
            read = scenes if name == "all" else scenes["by_category"][name]
            words = read["attributes_accuracy"]
            cells += [f"{read['category_accuracy']:.1%}", "" if words is None else f"{words:.1%}"]
            cells.append(f"{read['exact']:.1%}")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(words):
    """Words that Markdown shows as they are."""
    return str(words).translate({ord(mark): f"\\{mark}" for mark in "\\`*_[]<>|#~"})


def _reading(report):
    floor, people, unchanged = report["constant_caption"], report["leave_one_out"], report["no_change"]
    each = EACH if report["by_category"] else ""
    parts = [READING.format(each=each, confidence=100 * report["confidence"])]
    floors = FLOORS.format(sentence=_text(floor["caption"]), cider=100 * floor["cider"])
    if people:
        of = "" if people["count"] == report["count"] else f", on the {people['count']:,} pairs with several"
        floors += " " + OTHERS.format(cider=100 * people["cider"], of=of)
    parts.append(floors)
    if "seeds" in report and len(seeds := report["seeds"]["seeds"]) > 1:
        cider = report["seeds"]["scores"]["cider"]
        values = {name: 100 * cider[name] for name in ("mean", "std", "min", "max")}
        spread = SEEDS.format(seeds=", ".join(map(str, seeds)), **values)
        chosen = report["about"]["evaluation"] is not None
        parts.append(f"{spread} {KEPT.format(seed=report['about']['seed'])}" if chosen else spread)
    if unchanged["unchanged"]:
        rates = {name: unchanged[name] for name in ("recall", "precision", "f1")}
        parts.append(NO_CHANGE.format(actual=unchanged["unchanged"], **rates))
    if report.get("oracle_cider"):
        oracle = report["oracle_cider"]
        parts.append(ORACLE.format(oracle=100 * oracle, share=report["scores"]["cider"] / oracle))
    if "scenes" in report:
        parts.append(SCENES)
    return "\n\n".join(parts)


__all__ = ["write_card"]
