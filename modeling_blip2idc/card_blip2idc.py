"""The model card of a training run: how it was made and what it scored, from its results."""

from pathlib import Path

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

CIDEr is CIDEr-D as pycocoevalcap computes it, times 100, with document frequencies of the whole test split.
{reading}

## Limits

{limits}
"""


def write_card(folder, results, recipe):
    """Writes `README.md` into a model folder.

    Args:
        folder (`str` or `Path`): of the model.
        results (`dict`): as `train_trainer.py` writes them: `test` holds the scores, `history` the curve.
        recipe (`dict`): the arguments of the run.
    """
    scratch = recipe.get("scratch") is not None
    test = results.get("test")
    data = ModelCardData(
        license="apache-2.0",
        language="en",
        library_name="transformers",
        pipeline_tag="image-to-text",
        tags=["image-difference-captioning", "change-captioning", "blip-2", *([] if scratch else ["lora"])],
        base_model=None if scratch else recipe.get("model"),
        model_name=None if test is None else Path(folder).resolve().parent.name,
        eval_results=None if test is None else _eval_results(test, recipe["test_data"]),
    )
    title = "BLIP2IDC mini: the embedded model" if scratch else "BLIP2IDC adapter"
    body = TEXT.format(
        title=title,
        argument="" if scratch else ', model="<this repository>"',
        made=_made(recipe, results),
        scores="Not scored on a test split." if test is None else _table(test),
        reading="" if test is None or "scenes" not in test else READING.format(**_reading(test)),
        limits=LIMITS if scratch else "It was not tried on other data than named above.",
    )
    (Path(folder) / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n{body}", encoding="utf-8")
    ModelCard.load(Path(folder) / "README.md")  # its header parses


READING = """
A perfect describer, which draws one of the grammar's captions for the true change, scores {oracle:.1f}; the model has
{share:.1%} of that. *Kind*: the kind of change is named right. *Words*: every attribute word of the changed object, and
what it became, is right. *Exact*: the caption equals a reference. Of unchanged pairs, F1 is {f1:.3f} (precision
{precision:.3f}, recall {recall:.3f})."""

LIMITS = """It knows the rendered scenes of `load_dataset("syned")` and nothing else: a few shapes and colors on a gray
floor, and the words for them. On photographs its sentences mean nothing. Use it to try the software, in tests, and as a
start for experiments that have to be quick; for real images, fine-tune a real BLIP-2 with the same commands."""


def _made(recipe, results):
    sets = ", ".join(
        " ".join(str(spec[k]) for k in ("path", "name", "split") if k in spec)
        + "".join(f" {k}={spec[k]}" for k in ("train", "seed", "jitter") if k in spec)
        for spec in recipe["train_data"]
    )
    if recipe.get("scratch") is not None:
        return (
            f"Trained from nothing by `make mini` (recipes/mini.yaml), {recipe['max_steps']:,} steps on: {sets}. "
            "During training linear heads on the vision tokens and on the Q-Former's output learned what the renderer "
            "knows about each patch; they are not part of the model."
        )
    return f"LoRA of rank {recipe['rank']} on {', '.join(recipe['towers'])} ({recipe['targets']}), trained on: {sets}."


def _eval_results(test, spec):
    name = " ".join(str(spec[k]) for k in ("path", "name") if k in spec)
    return [
        EvalResult(
            task_type="image-to-text",
            task_name="Image difference captioning",
            dataset_type=spec["path"],
            dataset_name=name,
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
    read = test.get("scenes", {})
    lines = ["| category | pairs | CIDEr | BLEU-4 | ROUGE-L |" + (" kind | words | exact |" if read else "")]
    lines.append("|---|" + "---:|" * (7 if read else 4))
    rows = [("all", test, read), *((c, s, read.get("by_category", {}).get(c)) for c, s in test["by_category"].items())]
    for name, scores, told in rows:
        line = f"| {name} | {scores['count']} | {100 * scores['cider']:.1f} | {scores['bleu_4']:.3f} |"
        line += f" {scores['rouge_l']:.3f} |"
        if told:
            words = told["attributes_accuracy"]
            line += f" {told['category_accuracy']:.1%} | {'' if words is None else f'{words:.1%}'} |"
            line += f" {told['exact']:.1%} |"
        lines.append(line)
    return "\n".join(lines)


def _reading(test):
    told = test["scenes"]
    return {
        "oracle": 100 * test["oracle_cider"],
        "share": test["cider"] / test["oracle_cider"],
        "f1": told["no_change_f1"],
        "precision": told["no_change_precision"],
        "recall": told["no_change_recall"],
    }
