"""Publishing what a synthesis made: provenance, what was left out, a picture; and no place of this machine."""

import io
import json
import os
import shutil

import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, load_dataset_builder
from huggingface_hub import DatasetCard

from datasets_syned.__main__ import main
from datasets_syned.hub.describe import describe
from datasets_syned.hub.publish import parquet_files
from tests.support.hub_server import HubServer, run
from tests.support.runs_to_publish import mixed_run, plain_run

PUSH = """
import json, sys
import datasets
datasets.disable_progress_bars()
from datasets_syned.__main__ import main
sys.exit(sum(main(["push", "syned", repo, "--data_dir", folder]) for repo, folder in json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with everything, one in which nothing failed, and rows of the first without what the run says of them."""
    root = tmp_path_factory.mktemp("runs")
    mixed, plain = mixed_run(root), plain_run(root / "plain")
    shutil.copytree(mixed / "data", root / "bare")
    return {"mixed": mixed, "plain": plain, "bare": root / "bare"}


@pytest.fixture(scope="module")
def hub(runs, tmp_path_factory):
    with HubServer() as server:
        calls = [(f"ann/{name}", str(folder)) for name, folder in runs.items()]
        server.said = run(PUSH, server.env(tmp_path_factory.mktemp("home"), "ann-write"), json.dumps(calls)).stderr
        yield server


def files(hub, name):
    return {path: file.content for path, file in hub.repo("dataset", f"ann/{name}").at().files.items()}


def card(hub, name):
    return DatasetCard(files(hub, name)["README.md"].decode())


def test_what_a_run_says_of_itself(hub):
    text = card(hub, "mixed").text
    assert "| train | files of their own (split `train`) | 5 | 3 | 0 |\n" in text
    assert "| test | `scenes` (split `test`, `width=48`, `height=32`, `jitter=0.0`) | 3 | 1 | 2 |\n" in text
    assert "- Editor: `my-editor`, revision `sha256:0123`, with `failure_rate=0.3`\n" in text
    assert "- Paraphraser: `my-chat`, revision `c0ffee`, with `temperature=0.7`, `system=Say it in 'other' w" in text
    assert "- Filter `changed_area`, with `min=0.001`, `max=0.9`, `threshold=8.0`\n" in text
    assert "- Filter `near_duplicates`, with `min=0.01`, `threshold=8.0`\n" in text
    assert "- Seed: 0; " in text and "- Packages: blip2idc " in text
    assert card(hub, "mixed").data.tags == ["image-difference-captioning", "synthetic"]
    assert "Licence: that of the images and of the editor that it was made with." in text


def test_the_files_of_a_run_are_uploaded_as_they_are(hub, runs):
    for name in ("mixed", "plain"):
        mine = {f"syned/{path.name}": path.read_bytes() for path in (runs[name] / "data").glob("*.parquet")}
        assert mine == {path: content for path, content in files(hub, name).items() if path.endswith(".parquet")}
        (commit,) = [one for one in hub.repo("dataset", f"ann/{name}").history() if "Upload" in one.title]
        assert "README.md" in commit.files and set(mine) < set(commit.files)


def test_the_files_of_a_run_of_an_earlier_version_are_written_anew(runs, tmp_path):
    folder = shutil.copytree(runs["plain"], tmp_path / "run")
    (path,) = (folder / "data").glob("*.parquet")
    rows = Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    fields = {name: kind for name, kind in rows.features["provenance"].items() if name != "versions"}
    kinds = Features({**rows.features, "provenance": fields})
    old = [{**row, "provenance": {name: row["provenance"][name] for name in fields}} for row in rows]
    Dataset.from_list(old, features=kinds).to_parquet(path)
    builder = load_dataset_builder("syned", "synthetic", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    data = builder.as_dataset()
    ((name, written),) = parquet_files(builder.config, data, tmp_path, "500MB").items()
    assert name == "synthetic/train-00000-of-00001.parquet" and written.parent == tmp_path
    assert Dataset.from_parquet(str(written), cache_dir=str(tmp_path / "cache")).features == data["train"].features


def test_nobody_elses_paper_is_the_home_of_a_run(hub):
    for name in ("mixed", "plain", "bare"):
        text = card(hub, name).text
        assert not any(words in text for words in ("Home:", "bibtex", "gautierevn", "Evennou"))


def test_what_was_left_out(hub, runs):
    text, splits = card(hub, "mixed").text, json.loads((runs["mixed"] / "summary.json").read_text())["splits"]
    kept, dropped = splits["train"]["kept"], splits["train"]["dropped"]
    assert set(dropped) == {"changed_area", "near_duplicates"} and kept + sum(dropped.values()) + 6 == 15
    assert f"| train | 15 | {kept} | {15 - 6 - kept} | 6 |\n| test | 3 | 3 | 0 | 0 |" in text
    for name, count in dropped.items():
        assert f"| train | dropped by `{name}` | {count} |" in text
    assert "| train | failed, source: the image is damaged, or not an image that is read here: it begins" in text
    assert "| train | failed, source: the image '…' is missing | 3 |" in text
    assert "Of 6 paraphrases that were asked for in test, 3 were kept. Answers that were rejected, by the" in text
    assert "rule that they broke: refusal 3." in text
    assert "Left out when it was built" not in text and "Noted when it was built" not in text  # said once


def test_the_picture(hub, runs):
    there = files(hub, "plain")
    assert there["assets/syned-contact-sheet.png"] == (runs["plain"] / "contact_sheet.png").read_bytes()
    text = card(hub, "plain").text
    assert "![Sources and their edits](assets/syned-contact-sheet.png)\n\n*Sources, and to the right" in text
    assert "![before](assets/syned-before.jpg)" in text and "Nothing was left out." in text
    assert "assets/syned-contact-sheet.png" in files(hub, "mixed")


def test_rows_without_a_record(hub, runs):
    text, mixed = card(hub, "bare").text, card(hub, "mixed").text
    rows = {split: pq.read_table(sorted(runs["bare"].glob(f"{split}-*"))).to_pylist() for split in ("train", "test")}
    kept = len(rows["train"])
    assert "| split | editor | revision | steps | guidance | image guidance | pairs |" in text
    assert f"| train | `my-editor` | `sha256:0123` |  |  |  | {kept} |" in text
    assert "| test | `my-editor` | `sha256:0123` |  |  |  | 3 |" in text
    assert next(line for line in mixed.splitlines() if line.startswith("- Packages: ")) in text
    assert "How many rows were left out is not known" in text and "What was left out" not in text
    assert card(hub, "bare").data.tags == ["image-difference-captioning", "synthetic"]


def test_no_place_of_this_machine_is_pushed(hub, runs):
    root = runs["mixed"].parent
    assert str(root) in (runs["mixed"] / "summary.json").read_text()
    for name in runs:
        for path, content in files(hub, name).items():
            if path.endswith(".parquet"):
                table = pq.read_table(io.BytesIO(content))
                content += repr((table.schema.metadata, pq.read_metadata(io.BytesIO(content)).metadata)).encode()
                content += repr(table.to_pylist()).encode()
            for place in (str(root), root.name, "pictures of mine", "source.parquet", os.path.expanduser("~") + "/"):
                assert place.encode() not in content, (name, path, place)


def test_the_audit_prints_it_and_counts_what_is_there(runs, tmp_path, capsys):
    report = tmp_path / "report.json"
    where = ["--data_dir", str(runs["mixed"]), "--cache_dir", str(tmp_path), "--json", str(report)]
    assert main(["audit", "syned", *where]) == 0
    said = capsys.readouterr().out
    assert "(near_duplicates)" in said and "(changed_area)" in said and "6 (failed: source)" in said
    assert "done before, test:" in said and "3 (paraphrases rejected: refusal)" in said
    splits = json.loads(report.read_text())["splits"]
    made = json.loads((runs["mixed"] / "summary.json").read_text())["splits"]
    assert splits["train"]["rows"] == made["train"]["kept"]
    assert splits["train"]["dropped"] == {**made["train"]["dropped"], "failed: source": 6}
    assert splits["test"]["notes"] == {
        "paraphrases asked for": 6,
        "paraphrases kept": 3,
        "paraphrases rejected: refusal": 3,
    }


def test_a_broken_image_is_counted_beside_what_the_run_left_out(runs, tmp_path):
    folder = shutil.copytree(runs["plain"], tmp_path / "run")
    (path,) = (folder / "data").glob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    rows[5]["after"]["bytes"] = rows[5]["after"]["bytes"][:-8]
    pq.write_table(pq.read_table(path).from_pylist(rows, pq.read_schema(path)), path)
    summary = json.loads((folder / "summary.json").read_text())
    summary["splits"]["train"] |= {"rows": 14, "dropped": {"changed_area": 2}}
    (folder / "summary.json").write_text(json.dumps(summary))
    options = {"data_dir": str(folder), "cache_dir": str(tmp_path / "cache"), "on_error": "skip"}
    for _ in range(2):  # the second time from the cache
        builder = load_dataset_builder("syned", "syned", **options)
        builder.download_and_prepare()
        text = describe(builder, builder.as_dataset()).section("ann/x")
        assert "Left out when it was built: train: 1 × image broken.\n" in text  # the run tells of the others
        assert "| train | 11 |" in text and "| train | dropped by `changed_area` | 2 |" in text


def test_an_unfinished_run_is_not_pushed(runs, tmp_path, capsys):
    folder = shutil.copytree(runs["plain"], tmp_path / "run")
    (folder / "summary.json").unlink()
    assert main(["push", "syned", "ann/x", "--data_dir", str(folder), "--cache_dir", str(tmp_path)]) == 1
    assert "run: this run is not finished: run the same `syned synthesize` again" in capsys.readouterr().err
