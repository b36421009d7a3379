"""A report: the scores of predicted captions, and what is needed to believe them."""

import platform
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from ..cider import (
    NO_CHANGE_PHRASES,
    MeteorError,
    MeteorUnavailable,
    compare,
    constant_caption,
    leave_one_out,
    no_change_scores,
    score,
    tokenize,
)
from .notes import notes
from .published import published

SCORERS = ("cider", "bleu", "rouge_l")
PACKAGES = (
    "blip2idc", "torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "numpy", "pillow",
    "pycocoevalcap",
)  # fmt: skip


def build_report(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    ids: Sequence[str],
    categories: Sequence[str] | None = None,
    changed: Sequence[bool] | None = None,
    no_change: Sequence[str] | None = None,
    against: Mapping[str, Sequence[str]] | None = None,
    benchmark: str | None = None,
    about: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    meteor: bool = True,
) -> dict[str, Any]:
    """
    Scores captions, and puts beside the scores what they have to be compared with.

    Args:
        predictions (`Sequence[str]`): one caption for each of N pairs.
        references (`Sequence[Sequence[str]]`): the reference captions of each pair, at least one.
        ids (`Sequence[str]`): of the pairs, all different.
        categories (`Sequence[str]`, *optional*): kind of change of each pair.
        changed (`Sequence[bool]`, *optional*): whether each pair has a change. By default a pair is unchanged when one
            of its references is one of `no_change`.
        no_change (`Sequence[str]`, *optional*): captions that say that nothing changed, by default
            `metrics.cider.NO_CHANGE_PHRASES`; case and punctuation do not count.
        against (`Mapping[str, Sequence[str]]`, *optional*): other systems by name: their caption for each pair.
        benchmark (`str`, *optional*): name of the benchmark, for the published rows.
        about (`Mapping[str, Any]`, *optional*): what was scored, for people and for JSON: `model`, `revision`,
            `commit`, `predictions`, `split`, `limit`, `options`, `decoding` and whatever else. Published rows are
            left out unless `split` is `"test"` or not given, and when there is a `limit`.
        extra (`Mapping[str, Any]`, *optional*): further keys of the report. `scenes` (of
            `datasets_syned.training.grammars.score_captions`), `photos` (the same), `oracle_cider` and `seeds` (of
            [`summarize_seeds`]) have a section in report.md.
        confidence (`float`, *optional*, defaults to 0.95): of the intervals.
        resamples (`int`, *optional*, defaults to 1000): bootstrap samples behind the intervals and the paired test.
        seed (`int`, *optional*, defaults to 0): of the bootstrap.
        meteor (`bool`, *optional*, defaults to `True`): whether to compute METEOR, if it can run here.

    Returns:
        `dict`, for JSON. Scores are as `metrics.cider.score` names and scales them (CIDEr 0 to 10, the others 0 to 1),
        each with its `<key>_interval`:

        - `count`, `references` (how many in all), `scores`;
        - `by_category` (`None` without categories): `count` and scores of each, CIDEr in both forms: `cider` with
          document frequencies of the whole split, `cider_idf_category` with those of the category alone;
        - `constant_caption`: the best single sentence and its scores;
        - `leave_one_out`: each reference against the others, with `count` and `folds`; `None` where no pair has two,
          or there is one pair only;
        - `no_change`: `unchanged` (pairs), `said` (captions that say so), `precision`, `recall`, `f1` (`None` without
          unchanged pairs), `phrases`, `untold` (unchanged pairs none of whose references is one of them), and
          `captions`: scores of the changed and of the unchanged pairs by themselves, in the form of `by_category`
          (`None` unless there are both);
        - `against`: by name what `metrics.cider.compare` returns, `a` being the predictions (`None` without any);
        - `published`: rows of published tables, in table units (x100), with their source;
        - `meteor_missing`: why there is no METEOR, or `None`; `notes`: warnings, in sentences;
        - `benchmark`, `about`, `confidence`, `resamples`, `seed`, `versions` (of packages);
        - `pairs`: for each pair `id`, `category` (if given), `caption`, `references`, `cider`. [`write_report`] leaves
          them out of report.json; [`write_predictions`] writes them.

    Raises:
        ValueError, TypeError: as `metrics.cider.score` and `metrics.cider.compare` do.
        ValueError: `extra` has a key that the report has itself.
    """
    about = dict(about or {})
    phrases = tuple(NO_CHANGE_PHRASES if no_change is None else no_change)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        bootstrap = {"confidence": confidence, "resamples": resamples, "seed": seed}
        scores, scorers, missing = _scores(predictions, references, ids, categories, meteor, bootstrap)
        of_pairs, parts = scores["cider_per_sample"], scores.pop("by_category", None)
        options = {"scorers": scorers, **bootstrap}
        report = {
            "benchmark": benchmark,
            "about": about,
            "count": len(predictions),
            "references": sum(map(len, references)),
            "scores": _of_all(scores),
            "by_category": parts and _with_own_cider(parts, predictions, references, categories, options),
            "constant_caption": constant_caption(references, **options),
            "leave_one_out": (
                leave_one_out(references, categories=categories, **options)
                if len(references) > 1 and any(len(refs) > 1 for refs in references)
                else None
            ),
            "no_change": _no_change(predictions, references, changed, phrases, options),
            "against": {
                name: compare(predictions, captions, references, categories=categories, **options)
                for name, captions in (against or {}).items()
            }
            or None,
            "published": _published(benchmark, about),
            "meteor_missing": missing,
            **bootstrap,
            "versions": _versions(),
        }
    report["notes"] = notes(report) + list(dict.fromkeys(str(warning.message) for warning in caught))
    if twice := sorted(set(extra or {}) & {*report, "pairs"}):
        raise ValueError(f"extra has {', '.join(twice)}, which the report has itself")
    report |= dict(extra or {})
    report["pairs"] = [
        {
            "id": ids[row],
            **({} if categories is None else {"category": categories[row]}),
            "caption": predictions[row],
            "references": list(references[row]),
            "cider": of_pairs[row],
        }
        for row in range(len(predictions))
    ]
    return report


def _scores(predictions, references, ids, categories, meteor, bootstrap):
    """Scores of all pairs and of each, what was computed, and why METEOR was not, if it was not."""
    missing = "it was not asked for"
    for scorers in ((*SCORERS, "meteor"), SCORERS) if meteor else (SCORERS,):
        try:
            scores = score(predictions, references, scorers, categories, ids=ids, per_sample=True, **bootstrap)
        except (MeteorUnavailable, MeteorError) as error:
            missing = str(error)
        else:
            return scores, scorers, None if "meteor" in scorers else missing


def _of_all(scores):
    """Scores without those of each pair."""
    return {key: value for key, value in scores.items() if not key.endswith("_per_sample")}


def _with_own_cider(parts, predictions, references, groups, options):
    """Scores of groups of pairs, with CIDEr in its other form as well."""
    options = {**options, "scorers": "cider"}
    alone = score(predictions, references, categories=groups, idf="category", **options)["by_category"]
    return {
        name: {
            **_of_all(part),
            "cider_idf_category": alone[name]["cider"],
            "cider_idf_category_interval": alone[name]["cider_interval"],
        }
        for name, part in parts.items()
    }


def _no_change(predictions, references, changed, phrases, options):
    sentences = {tuple(tokenize(phrase)) for phrase in phrases}
    told = [any(tuple(tokenize(one)) in sentences for one in refs) for refs in references]
    changed = [not one for one in told] if changed is None else list(changed)
    found = no_change_scores(predictions, references, phrases, changed)
    unchanged = found["no_change_true"]
    rates = {key: found[f"no_change_{key}"] if unchanged else None for key in ("precision", "recall", "f1")}
    groups = ["changed" if one else "unchanged" for one in changed]
    parts = None
    if 0 < unchanged < len(changed):
        parts = score(predictions, references, categories=groups, **options)["by_category"]
        parts = _with_own_cider(parts, predictions, references, groups, options)
    return {
        "unchanged": unchanged,
        "said": found["no_change_predicted"],
        **rates,
        "untold": sum(not one and not by for one, by in zip(changed, told, strict=True)),
        "phrases": list(phrases),
        "captions": parts,
    }


def _published(benchmark, about):
    if benchmark is None or (about.get("split") or "test") != "test" or about.get("limit") is not None:
        return []
    return [
        {
            "method": row.method,
            "scores": dict(row.scores),
            "categories": dict(row.categories),
            "source": row.source,
            "note": row.note,
        }
        for row in published(benchmark)
    ]


def _versions():
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
