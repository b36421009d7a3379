"""Captions by a model behind a server: a real one on localhost, with the faults that servers have."""

import base64
import io
import json
import pickle
import socket
import time
import traceback

import numpy as np
import pytest
from PIL import Image

from datasets_syned.synthesis.paraphrasers import Paraphrases, load_paraphraser
from tests.support.chat_server import Reply, chat_server

DOG, HAT = "Add a dog to the lawn", "Remove the hat"
GOOD = {DOG: "1. Put a dog on the lawn\n2. Place a dog on the lawn", HAT: "1. Take off the hat\n2. Erase the hat"}
KEY = "sk-very-secret-123"


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """The tests' own environment forbids the client to connect anywhere. No real waiting, no real token."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_token_of_the_hub")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    waits = []
    monkeypatch.setattr("datasets_syned.synthesis.paraphrasers.server.sleep", waits.append)
    return waits


def text_of(body):
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def answer_well(body, number):
    return Reply(next(good for instruction, good in GOOD.items() if instruction in text_of(body)))


def model_at(server, **options):
    return load_paraphraser("some/model", base_url=server.url, **options)


def test_paraphrases(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server(answer_well) as server:
        model = model_at(server, extra_body={"top_k": 20, "top_p": None})
        found = model.paraphrase([DOG, HAT, " "], 2, [0, 1, 2])
        assert model.paraphrase([HAT], 2, [1]) == found[1:2]
    assert found == [
        Paraphrases(["Put a dog on the lawn", "Place a dog on the lawn"], [], 1),
        Paraphrases(["Take off the hat", "Erase the hat"], [], 1),
        Paraphrases(),
    ]
    first, second, again = sorted(server.requests[:2], key=text_of, reverse=True) + server.requests[2:]
    assert first["path"] == "/v1/chat/completions" and first["headers"]["authorization"] == f"Bearer {KEY}"
    assert (first["model"], first["temperature"], first["max_tokens"], first["top_k"]) == ("some/model", 0.7, 128, 20)
    assert "top_p" not in first and [message["role"] for message in first["messages"]] == ["system", "user"]
    assert first["seed"] != second["seed"] and 0 <= first["seed"] < 2**31
    assert again["seed"] in (first["seed"], second["seed"])


def test_what_it_says_of_itself(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = load_paraphraser("some/model", base_url="http://gpu17.internal:8000/v1", rules="none")
    model.load()
    assert (model.id, model.revision, model.from_images) == ("some/model", "unknown", False)
    known = json.dumps([model.parameters, model.versions])
    assert KEY not in known and "gpu17" not in known and '"rules": "none"' in known
    assert KEY.encode() not in pickle.dumps(model)


def test_no_key_is_no_reason_to_send_another():
    with chat_server(answer_well) as server:
        model_at(server).paraphrase([DOG], 2, [0])
    assert server.requests[0]["headers"]["authorization"] == "Bearer EMPTY"


def test_a_key_by_another_name(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with chat_server(answer_well) as server:
        model_at(server, api_key_env="MY_KEY").paraphrase([DOG], 2, [0])
    assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=503, body="busy"),
        Reply(status=429, body='{"error": "slow down"}'),
        Reply(body="<html>a proxy</html>"),
        Reply(body='{"choices": []}'),
        Reply(body='{"choices": null}'),
        Reply(body='{"id": 3'),
        Reply(body='{"choices": [{"message": {"content": ["a"]}}]}'),
        Reply(seconds=1.0),
    ],
    ids=["503", "429", "html", "no choice", "null", "cut", "parts", "timeout"],
)
def test_a_fault_that_passes(fault, online):
    with chat_server(lambda body, number: fault if number < 3 else answer_well(body, number)) as server:
        found = model_at(server, timeout=0.5).paraphrase([DOG], 2, [0])[0]
    assert found == Paraphrases(["Put a dog on the lawn", "Place a dog on the lawn"], [], 1)
    assert len(server.requests) == 3 and online == [1.0, 2.0]


def test_it_waits_as_long_as_the_server_says(online):
    busy = Reply(status=429, body="{}", headers={"Retry-After": "7"})
    with chat_server(lambda body, number: busy if number == 1 else answer_well(body, number)) as server:
        model_at(server).paraphrase([DOG], 2, [0])
    assert online == [7.0]


@pytest.mark.parametrize(
    ("fault", "requests", "said"),
    [
        (Reply(status=401, body=f'{{"error": {{"message": "Incorrect API key: {KEY}"}}}}'), 1, "401"),
        (Reply(status=404, body='{"error": "no such model"}'), 1, "404"),
        (Reply(status=500, body="down"), 5, "asked 5 times: HfHubHTTPError: Server error '500"),
        (Reply(body="<html>"), 5, "asked 5 times: JSONDecodeError"),
        (Reply(body="[1]"), 5, "ValueError: Invalid data type"),
    ],
)
def test_a_fault_that_stays_is_of_its_row_alone(fault, requests, said, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server(lambda body, number: fault if HAT in text_of(body) else answer_well(body, number)) as server:
        hat, dog = model_at(server).paraphrase([HAT, DOG], 2, [0, 1])
    assert dog.kept == ["Put a dog on the lawn", "Place a dog on the lawn"] and isinstance(hat, RuntimeError)
    assert len(server.requests) == requests + 1
    assert str(hat).startswith("paraphraser 'some/model', asked ") and said in str(hat)
    assert KEY not in "".join(traceback.format_exception(hat))


def test_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    failed = load_paraphraser("m", base_url=url).paraphrase([DOG], 2, [0])[0]
    assert isinstance(failed, RuntimeError) and "asked 5 times: ConnectError" in str(failed)


def test_a_key_that_is_missing_is_said_before_the_first_request(monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ValueError, match="no key for the Hub; `hf auth login`"):
        load_paraphraser("m", provider="auto").load()
    with pytest.raises(ValueError, match="no key in the variable MY_KEY"):
        load_paraphraser("m", base_url="http://host/v1", api_key_env="MY_KEY").load()


def test_offline_is_said_at_once(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    failed = load_paraphraser("m", base_url="http://127.0.0.1:1/v1").paraphrase([DOG], 2, [0])[0]
    assert "asked 1 times: OfflineModeIsEnabled" in str(failed) and "unset the `HF_HUB_OFFLINE`" in str(failed)


def test_answers_that_are_short_empty_or_refused():
    replies = [
        Reply("1. Put a dog on the lawn\n2. Place a dog", finish_reason="length"),
        Reply(None),
        Reply("I cannot help with that."),
    ]
    with chat_server(lambda body, number: replies[number - 1]) as server:
        found = model_at(server).paraphrase([DOG], 2, [0])[0]
    rejected = [("Place a dog", "cut off"), ("", "empty"), ("I cannot help with that.", "refusal")]
    assert found == Paraphrases(["Put a dog on the lawn"], rejected, 3)
    assert len({request["seed"] for request in server.requests}) == 3


def test_requests_run_at_the_same_time():
    with chat_server(lambda body, number: answer_well(body, number)._replace(seconds=0.4)) as server:
        begin = time.perf_counter()
        found = model_at(server, batch_size=8).paraphrase([DOG, HAT] * 4, 2, range(8))
    assert time.perf_counter() - begin < 2.0 and [one.kept for one in found[:2]] * 4 == [one.kept for one in found]


def test_captions_from_images():
    images = [Image.fromarray(np.full((8, 8, 3), grey, np.uint8)) for grey in (40, 200)]
    with chat_server(lambda body, number: Reply("1. The image is brighter\n2. Add light")) as server:
        model = model_at(server, from_images=True, rules="strict")
        found = model.describe([images], ["Add light"], 1, [0])[0]
        assert model.from_images and found == Paraphrases(["The image is brighter"], [("Add light", "same")], 1)
        assert model.suggest(images[:1], 2, [0])[0].kept == ["The image is brighter", "Add light"]
    *parts, text = server.requests[0]["messages"][-1]["content"]
    sent = [part["image_url"]["url"].removeprefix("data:image/png;base64,") for part in parts]
    shown = [Image.open(io.BytesIO(base64.b64decode(data))) for data in sent]
    assert [np.asarray(image).tolist() for image in shown] == [np.asarray(image).tolist() for image in images]
    assert text["type"] == "text" and "Add light" in text["text"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "localhost:8000"}, "must be like http://localhost:8000/v1"),
        ({"base_url": "https://me:secret@host/v1"}, "without a password or a key"),
        ({"base_url": "https://host/v1?key=secret"}, "without a password or a key"),
        ({"base_url": "http://host/v1", "batch_size": 0}, "batch_size=0"),
        ({"base_url": "http://host/v1", "api_key": "k"}, "unexpected keyword argument 'api_key'"),
    ],
)
def test_bad_options(options, said):
    with pytest.raises(ValueError, match=said) as raised:
        load_paraphraser("m", **options)
    assert "secret" not in str(raised.value)
