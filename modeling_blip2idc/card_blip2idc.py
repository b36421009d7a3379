"""The model card of a training run: how it was made and what it scored, from its results."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

TEXT = """
# {title}

Two images in, the difference in a sentence out.

```python
import modeling_blip2idc
from transformers import pipeline

idc = pipeline("image-difference-captioning"{argument})
idc((before, after))
```

## How it was made

{made}

## What it scored

{scores}

## Limits

{limits}
"""

CURVE = "\n\n![Scores on the evaluation split during training](curve.png)"
READING = (
    "CIDEr is CIDEr-D as pycocoevalcap computes it, times 100, with document frequencies of the whole test split."
)
ORACLE = (
    "A perfect describer, which draws one of the grammar's captions for the true change, has a CIDEr of {oracle:.1f}; "
    "the model has {share:.1%} of that."
)
SCENES = (
    "*Kind*: the kind of change is named right. *Words*: every attribute word of the changed object, and what it "
    "became, is right. *Exact*: the caption equals a reference (five of the grammar's six phrasings, so "
    "that a perfect describer has 83 %). Of unchanged pairs, F1 is {no_change_f1:.3f} "
    "(precision {no_change_precision:.3f}, recall {no_change_recall:.3f})."
)
ONLY_SCENES = (
    'It knows the rendered scenes of `load_dataset("syned")` and nothing else: a few shapes and colors on a gray '
    "floor, and the words for them. On photographs its sentences mean nothing. Use it to try the software, in tests, "
    "and as a start for experiments that have to be quick; for real images, fine-tune a real BLIP-2 with the same "
    "commands."
)
ONLY_ITS_DATA = "It was not tried on other data than named above."


def write_card(folder: str | os.PathLike, results: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """
    Writes `README.md` into a model folder, with the scores in its header as well. No path of this machine is in it.

    Args:
        folder (`str` or `os.PathLike`):
            Of the model.
        results (`dict`):
            As `train_trainer.py` writes them: `steps` trained, and `test` with the scores, if there are any.
        recipe (`dict`):
            The arguments of the run, by name.
    """
    test, adapter = results.get("test"), recipe.get("scratch") is None and recipe["tuning"] == "lora"
    base = recipe.get("model")
    data = ModelCardData(
        license="apache-2.0",
        language="en",
        library_name="peft" if adapter else "transformers",
        pipeline_tag="image-to-text",
        tags=["image-difference-captioning", "change-captioning", "blip-2", *(["lora"] if adapter else [])],
        base_model=None if base is None or os.path.exists(base) else base,
        model_name=None if test is None else Path(folder).resolve().parent.name,
        eval_results=None if test is None else _eval_results(test, recipe["test_data"]),
    )
    body = TEXT.format(
        title=_title(recipe, adapter),
        argument="" if recipe.get("embed") else ', model="<this repository>"',
        made=_made(results, recipe, adapter) + (CURVE if (Path(folder) / "curve.png").is_file() else ""),
        scores="Not scored on a test split." if test is None else f"{_table(test)}\n\n{_reading(test)}",
        limits=ONLY_ITS_DATA if recipe.get("scratch") is None else ONLY_SCENES,
    )
    file = Path(folder) / "README.md"
    file.write_text(f"---\n{data.to_yaml()}\n---\n{body}", encoding="utf-8")
    ModelCard.load(file)  # its header parses


def _title(recipe, adapter):
    if recipe.get("scratch") is not None:
        return "BLIP2IDC mini: the embedded model" if recipe.get("embed") else "A small BLIP2IDC, trained from nothing"
    return "A BLIP2IDC adapter" if adapter else "A fine-tuned BLIP2IDC"


def _made(results, recipe, adapter):
    sets = ", ".join(_data_name(spec, "train", "seed", "jitter") for spec in recipe["train_data"])
    seen = f"{results['steps']:,} steps on: {sets}."
    if recipe.get("scratch") is not None:
        command = "`make mini` (recipes/mini.yaml)" if recipe.get("embed") else "`train_trainer.py`"
        parts = "" if not recipe.get("lessons") else (
            " During training, linear heads on the vision tokens and on the Q-Former's output learned what the "
            "renderer knows about each patch; they are not part of the model."
        )  # fmt: skip
        return f"Trained from nothing by {command}, {seen}{parts}"
    base = "the embedded model" if recipe.get("model") is None else _file_name(recipe["model"])
    if adapter:
        how = f"LoRA of rank {recipe['rank']} on {', '.join(recipe['towers'])} ({recipe['targets']} targets) of {base}"
    else:
        how = f"All weights of {base} were trained"
    return f"{how}, {seen}"


def _file_name(path):
    """Of a folder of this machine its name only; a Hub id as it is."""
    return Path(path).name if os.path.exists(path) else path


def _data_name(spec, *options):
    words = [_file_name(str(spec["path"])), *(str(spec[k]) for k in ("name", "split") if k in spec)]
    return " ".join(words + [f"{k}={spec[k]}" for k in options if k in spec])


def _eval_results(test, spec):
    return [
        EvalResult(
            task_type="image-to-text",
            task_name="Image difference captioning",
            dataset_type=_file_name(str(spec["path"])),
            dataset_name=_data_name({k: spec[k] for k in ("path", "name") if k in spec}),
            dataset_split=spec["split"],
            metric_type=metric,
            metric_name=label,
            metric_value=round(value, 4),
        )
        for metric, label, value in (
            ("cider", "CIDEr-D (x100)", 100 * test["cider"]),
            ("bleu", "BLEU-4", test["bleu_4"]),
            ("rouge", "ROUGE-L", test["rouge_l"]),
        )
    ]


def _table(test):
    scenes = test.get("scenes", {})
    lines = ["| category | pairs | CIDEr | BLEU-4 | ROUGE-L |" + (" kind | words | exact |" if scenes else "")]
    lines.append("|---|" + "---:|" * (7 if scenes else 4))
    categories = test.get("by_category", {})
    rows = [("all", test, scenes), *((c, s, scenes.get("by_category", {}).get(c)) for c, s in categories.items())]
    for name, scores, read in rows:
        line = f"| {name} | {scores['count']} | {100 * scores['cider']:.1f} | {scores['bleu_4']:.3f} |"
        line += f" {scores['rouge_l']:.3f} |"
        if scenes:
            words = read["attributes_accuracy"]
            line += f" {read['category_accuracy']:.1%} | {'' if words is None else f'{words:.1%}'} |"
            line += f" {read['exact']:.1%} |"
        lines.append(line)
    return "\n".join(lines)


def _reading(test):
    parts = [READING]
    if test.get("oracle_cider"):
        parts.append(ORACLE.format(oracle=100 * test["oracle_cider"], share=test["cider"] / test["oracle_cider"]))
    if "scenes" in test:
        parts.append(SCENES.format(**test["scenes"]))
    return "\n\n".join(parts)


__all__ = ["write_card"]
