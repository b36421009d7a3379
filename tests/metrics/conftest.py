"""What the tests of the metric share: the real annotation files, and the Java tools where they are installed."""

import json
import shutil
from pathlib import Path

import pytest

ANNOTATIONS = Path(__file__).resolve().parents[3] / "shared" / "annotations"


def read_annotations(*parts):
    path = ANNOTATIONS.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no annotation file {'/'.join(parts)} beside the project")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def syned():
    """`(predictions, references)`: of each test instruction the first variation against the others and itself."""
    lines = read_annotations("syned", "instructions_with_idx_test_split.txt").splitlines()
    originals = dict(map(str.strip, line.split("<INSTRUCT>")) for line in lines)
    variations = json.loads(read_annotations("syned", "gt_augmented_test_clean.json"))
    rows = [[*texts, originals[index.strip()]] for index, texts in variations.items() if texts]
    return [row[0] for row in rows], [row[1:] for row in rows]


@pytest.fixture(scope="session")
def image_editing_request():
    rows = [row["sents"] for row in json.loads(read_annotations("image_editing_request", "test.json"))]
    return [row[0] for row in rows], [row[1:] for row in rows]


@pytest.fixture(scope="session")
def spot_the_diff():
    files = [json.loads(read_annotations("spot_the_diff", f"{split}.json")) for split in ("train", "val", "test")]
    rows = [row["sentences"] for file in files for row in file if len(row["sentences"]) >= 2]
    return [row[0] for row in rows], [row[1:] for row in rows]


@pytest.fixture(scope="session")
def annotation_captions(syned, image_editing_request, spot_the_diff):
    """Every different caption of the files, in all splits."""
    captions = []
    for predictions, references in (syned, image_editing_request, spot_the_diff):
        captions += predictions
        captions += [reference for refs in references for reference in refs]
    for split in ("train", "valid"):
        for row in json.loads(read_annotations("image_editing_request", f"{split}.json")):
            captions += row["sents"]
    for split in ("train", "val", "test"):
        for row in json.loads(read_annotations("spot_the_diff", f"{split}.json")):
            captions += row["sentences"]
    lines = read_annotations("syned", "instructions_with_idx_train_split.txt").splitlines()
    captions += [line.split("<INSTRUCT>")[1] for line in lines]
    return list(dict.fromkeys(captions))


@pytest.fixture(scope="session")
def java_tokenize():
    """pycocoevalcap's tokenizer: `captions -> list of token strings`, each caption followed by another one."""
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer", reason="pycocoevalcap is not installed")
    if shutil.which("java") is None:
        pytest.skip("no java on this machine")

    def tokenize(captions):
        rows = {index: [{"caption": caption}, {"caption": "next"}] for index, caption in enumerate(captions)}
        result = tokenizer.PTBTokenizer().tokenize(rows)
        return [result[index][0] for index in range(len(captions))]

    return tokenize
