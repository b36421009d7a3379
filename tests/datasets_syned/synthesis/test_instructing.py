"""Instructions for images by a model: a real server on localhost, real files, interrupted and continued."""

import json
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from datasets_syned.__main__ import main
from datasets_syned.synthesis.instructing import write_instructions
from datasets_syned.synthesis.paraphrasers import load_paraphraser
from datasets_syned.synthesis.sources import SourceRow, load_source
from tests.support.chat_server import Reply, chat_server


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets_syned.synthesis.paraphrasers.server.sleep", lambda seconds: None)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(20):
        Image.fromarray(np.full((8, 8, 3), 10 * i, np.uint8)).save(tmp_path / "pictures" / f"{i:02d}.png")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"not a picture")
    return tmp_path / "pictures"


def answer(body, number):
    return Reply("1. Add a dog\n2. Make it snow\n3. I cannot help with that")


def run(folder, server, *more):
    return main(["instruct", str(folder), "--model", "m", "--base_url", server.url, "--per_image", "2", *more])


def test_instructions_for_a_folder(folder, capsys):
    file = folder / "instructions.jsonl"
    with chat_server(answer) as server:
        assert run(folder, server) == 1, "a broken image"
        assert len(server.requests) == 20
        assert "40 instructions added; 20 images, 1 failed" in capsys.readouterr().out
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines[:5]) + lines[5][:20])  # as a process that was killed leaves it
        assert run(folder, server) == 1 and file.read_text() == "".join(lines)
        assert len(server.requests) == 35
        first, again = ({one["seed"] for one in some} for some in (server.requests[:20], server.requests[20:]))
        assert again < first
        (folder / "broken.png").unlink()
        assert run(folder, server) == 0 and len(server.requests) == 35
    wanted = {"file_name": "00.png", "instruction": ["Add a dog", "Make it snow"]}
    assert json.loads(lines[0]) == wanted | {"rejected": [["I cannot help with that", "refusal"]]}
    rows = list(islice(load_source({"path": str(folder), "instructions": str(file)}).rows(), 3))
    assert rows == [
        SourceRow(0, "00.png", "Add a dog", "edit"),
        SourceRow(0, "00.png#1", "Make it snow", "edit"),
        SourceRow(1, "01.png", "Add a dog", "edit"),
    ]


def test_a_server_that_does_not_work(folder, capsys, tmp_path):
    with chat_server(lambda body, number: Reply(status=500, body="down")) as server:
        assert run(folder, server, "--out", str(tmp_path / "x.jsonl")) == 1
        assert "asked 5 times" in capsys.readouterr().err and not (tmp_path / "x.jsonl").read_text()
        model = load_paraphraser("m", base_url=server.url, from_images=True)
        with pytest.raises(ValueError, match="has no images of split 'test'"):
            write_instructions(folder, tmp_path / "y.jsonl", model, split="test")
    (tmp_path / "z.jsonl").write_text("[]\n")
    with pytest.raises(ValueError, match="z.jsonl.*line 1: must be an object"):
        write_instructions(folder, tmp_path / "z.jsonl", model)
