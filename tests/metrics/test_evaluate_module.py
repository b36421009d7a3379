"""`evaluate.load` from a path, offline, in a process that does not have the project on its path."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "metrics" / "cider"
PREDICTIONS = ["the red ball is gone", "a cube was added", "nothing changed"]
REFERENCES = [["the ball is gone", "the red ball disappeared"], ["someone added a blue cube"], ["nothing changed"]]

PROGRAM = """
import json, sys
import evaluate
predictions, references, path = json.loads(sys.argv[1])
metric = evaluate.load(path)
out = {"compute": metric.compute(predictions=predictions, references=references, per_sample=True)}
metric.add_batch(predictions=predictions[:2], references=references[:2])
metric.add(prediction=predictions[2], reference=references[2])
out["batches"] = metric.compute(categories=["a", "a", "b"], scorers=["cider", "bleu"], confidence=0.9, seed=1)
metric.DocumentFrequencies.from_references(references).save("own.idf")
out["saved"] = metric.compute(predictions=predictions, references=references, idf="own.idf")["cider"]
out["beside"] = [
    metric.compare(predictions, predictions[::-1], references)["cider"]["difference"],
    metric.constant_caption(references)["caption"],
    metric.leave_one_out(references)["count"],
    metric.align({"b": "x", "a": "y"}, {"a": ["z"], "b": ["w"]}),
    metric.tokenize("It's gone."),
]
out["combined"] = evaluate.combine([metric, path], force_prefix=True).compute(
    predictions=predictions, references=references
)
errors = []
for wrong in ([[None, "b"], [["a"], ["b"]]], [[3, "b"], [["a"], ["b"]]], [["a", "b"], ["a", "b"]], [[], []]):
    try:
        metric.compute(predictions=wrong[0], references=wrong[1])
    except (TypeError, ValueError) as error:
        errors.append(f"{type(error).__name__}: {error}")
out["errors"] = errors
out["file"] = sys.modules[type(metric).__module__].__file__
print("RESULT" + json.dumps(out))
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    pytest.importorskip("evaluate", reason="evaluate is not installed")
    home = tmp_path_factory.mktemp("hf")
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    arguments = json.dumps([PREDICTIONS, REFERENCES, str(MODULE)])
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, arguments], cwd=home, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.split("RESULT")[1])


@pytest.fixture(scope="module")
def plain():
    from metrics.cider import score

    return score(PREDICTIONS, REFERENCES, per_sample=True)


def test_compute_is_score(result, plain):
    assert result["compute"] == plain
    assert Path(result["file"]).parent != MODULE  # a copy, which therefore has all it needs


def test_batches_of_ragged_references(result, plain):
    assert result["batches"]["cider"] == plain["cider"]
    assert result["batches"]["by_category"]["a"]["count"] == 2
    low, high = result["batches"]["by_category"]["a"]["bleu_1_interval"]
    assert low < result["batches"]["by_category"]["a"]["bleu_1"] < high


def test_what_comes_along(result, plain):
    from metrics.cider import compare

    assert result["saved"] == pytest.approx(plain["cider"], abs=1e-12)
    difference, caption, people, aligned, tokens = result["beside"]
    assert difference == compare(PREDICTIONS, PREDICTIONS[::-1], REFERENCES)["cider"]["difference"] > 0
    assert caption == "someone added a blue cube" and people == 1
    assert aligned == [["a", "b"], ["y", "x"], [["z"], ["w"]]]
    assert tokens == ["it", "'s", "gone"]


def test_combine(result, plain):
    assert plain["cider"] in result["combined"].values()
    assert len(result["combined"]) == 2 * len([key for key in plain if not key.endswith("_per_sample")])


def test_wrong_rows_are_named_before_they_are_converted(result):
    patterns = (
        r"TypeError: predictions\[0\] is None",
        r"TypeError: predictions\[0\] is 3 \(int\)",
        r"TypeError: references\[0\] is 'a' \(str\); give a list",
        r"ValueError: predictions and references are empty",
    )
    assert len(result["errors"]) == len(patterns)
    for pattern, error in zip(patterns, result["errors"], strict=True):
        assert re.match(pattern, error)


def test_every_file_is_named_where_evaluate_looks_for_it():
    text = (MODULE / "cider.py").read_text(encoding="utf-8")
    named = set(re.findall(r"^from \.(\w+) import [\w, ]+$", text, re.MULTILINE))
    helpers = {path.stem for path in MODULE.glob("*.py")} - {"cider", "__init__", "__main__", "app"}
    assert sorted(named) == sorted(helpers)


def test_the_plain_function_imports_no_framework():
    code = (
        "import sys; from metrics.cider import score; assert score(['a b', 'c'], [['a'], ['c']]);"
        "print([m for m in ('evaluate', 'datasets', 'torch', 'transformers', 'pandas') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=MODULE.parents[1], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
