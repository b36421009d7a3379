"""`syned synthesize` on a folder of images without a word, captioned by a model on a server that sees both images."""

import io
import json

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from datasets_syned.__main__ import main
from tests.support.chat_server import Reply, chat_server
from tests.support.synthesis_runs import content, rows

KEY = "sk-very-secret-123"
EDITOR = """
from PIL import ImageOps

class Negative:
    id, revision, parameters, versions, batch_size = "negative", "1", {}, {}, 4

    def __init__(self, device):
        pass

    def load(self):
        pass

    def edit(self, images, instructions, seeds):
        return [ImageOps.invert(image) for image in images]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_editor.py").write_text(EDITOR)
    noise = np.random.default_rng(0)
    for name in ("a.png", "room/b.jpg", "c.avif", "d.jp2", "e.bmp", "f.png"):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 120, (24, 32, 3), np.uint8)).save(file)
    return tmp_path / "pictures"


def test_a_folder_of_images(folder, tmp_path, capsys):
    words = ["synthesize", "--source", folder, "--instructions", "household", "--per_image", "2", "--unchanged", "0.4"]
    words += ["--variants", "2", "--editor", "my_editor:Negative", "--paraphrases", "2", "--paraphraser", "eyes"]
    words += ["--from_images", "--device", "cpu", "--out", tmp_path / "run", "--base_url"]

    def answer(body, number):
        return Reply(f"1. Everything is lighter now, by {number}\n2. I cannot say more")

    with chat_server(answer) as server:
        assert main([*map(str, words), server.url]) == 0
        made = rows(tmp_path / "run")
        changed = [row for row in made if row["changed"]]
        assert len(changed) == 6 * 2 * 2 and len(server.requests) == 2 * len(changed), "asked again for the second"
        assert main([*map(str, words), server.url]) == 0 and len(server.requests) == 2 * len(changed)
        first = content(tmp_path / "run")
        assert main([*map(str, words), server.url, "--rules", "none"]) == 0
        images = {name for name in first if name.startswith(("edit/", "plan/"))}
        assert {name: content(tmp_path / "run")[name] for name in images} == {name: first[name] for name in images}
    assert all(row["captions"][0] == row["provenance"]["instruction"] for row in changed)
    assert all(row["captions"][1].startswith("Everything is lighter now") for row in changed)
    same = [row for row in made if not row["changed"]]
    assert same and all(row["category"] == "none" and len(row["captions"]) == 3 for row in same)
    rejected = [one for row in rows(tmp_path / "run", folder="caption") for one in row["rejected"]]
    assert not rejected, "without rules all is taken"
    assert "I cannot say more" in [caption for row in rows(tmp_path / "run") for caption in row["captions"]]
    for request in server.requests:
        before, after = (part["image_url"]["url"] for part in request["messages"][-1]["content"][:2])
        assert before != after
    everything = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert KEY.encode() not in everything and KEY not in "".join(capsys.readouterr())
    data = load_dataset("syned", "synthetic", data_dir=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache"))
    assert data["train"][0]["before"].size == data["train"][0]["after"].size == (32, 24)
    assert json.loads((tmp_path / "run" / "synthesis.json").read_text())["settings"]["paraphraser"] == "eyes"
    assert Image.open(io.BytesIO(made[0]["before"]["bytes"])).size == (32, 24)


def test_a_server_that_comes_back(folder, tmp_path):
    words = ["synthesize", "--source", folder, "--instructions", "street", "--variants", "1", "--paraphrases", "1"]
    words += ["--editor", "my_editor:Negative", "--device", "cpu", "--paraphraser", "m", "--out", tmp_path / "run"]
    states = [Reply(status=401, body="{}")]
    with chat_server(lambda body, number: states[-1]) as server:
        command = [*map(str, words), "--base_url", server.url]
        assert main(command) == 1 and not rows(tmp_path / "run")
        verdicts = rows(tmp_path / "run", folder="select")
        assert {row["by"] for row in verdicts} == {"paraphraser"} and all("401" in row["reason"] for row in verdicts)
        states.append(Reply("1. It has become a negative"))
        assert main(command) == 1 and len(server.requests) == 6, "what failed is not asked again"
        assert main([*command, "--retry_failed"]) == 0 and len(server.requests) == 12
    made = rows(tmp_path / "run")
    assert [row["captions"][1:] for row in made] == [["It has become a negative"]] * 6
