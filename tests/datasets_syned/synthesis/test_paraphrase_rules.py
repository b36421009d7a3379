"""Which texts become captions by each set of rules, and by which rule another text does not."""

from collections import Counter

import pytest

from datasets_syned.benchmarks.references import PARAPHRASES, REFUSAL, read_paraphrases
from datasets_syned.synthesis.paraphrasers import RULE_SETS, RULES, judge
from tests.metrics.conftest import ANNOTATIONS, read_annotations

GOOD = [
    ("Add a dog to the lawn", "Put a dog on the lawn."),
    ("Add a dog to the lawn", "Place a dog onto the lawn"),
    ("Remove the dogs", "Get rid of the dogs"),
    ("Remove the dogs", "Take the dogs out of the picture"),
    ("Make it so that the man isn't wearing a hat", "Show the man not wearing a hat"),
    ("Turn the two cats into foxes", "Transform both cats into foxes"),
    ("Change both cats into foxes", "Turn the two cats into foxes"),
    ("Add sunglasses to the man", "Give the man a pair of sunglasses"),
    ("Add 3 birds", "Put three birds in the image"),
    ("Make the grey car red", "Paint the gray car red"),
    ("Add the word 'SWIM' to the surfboard.", 'Write "SWIM" on the surfboard.'),
    ("Add the word cheese above the person", "Insert 'cheese' above the person"),
    ('Make the sign say "Stop!"', "Change the sign so it says “Stop!”"),
    ("Replace the cat with a dog", "Swap the cat for a dog"),
    ("Change the style to Cubism", "Give the image a Cubist style"),
    ("Make it a Picaso painting", "Turn the image into a Picasso painting"),
    ("Remove the dog", "Put the dog away"),
    ("Add a dog to the lawn", "The lawn has a dog now"),
    ("Make it snowy", "Make the scene look like snow"),
    ("Put the lamp on top of the desk", "Place the lamp above the desk"),
    ("Add a kite to the left of the tree", "Insert a kite at the left side of the tree"),
]
MENDED = [
    ('"Put a dog on the lawn."', "Put a dog on the lawn."),
    ("“Put a dog on the lawn.”", "Put a dog on the lawn."),
    ("'Put a dog on the lawn'.", "Put a dog on the lawn."),
    ("**Put a dog on the lawn**", "Put a dog on the lawn"),
    ("  Put a dog \n on the lawn ", "Put a dog on the lawn"),
    ("Put a dog on the lawn. [INSTRUCT]", "Put a dog on the lawn."),
    ("Put a dog on the lawn. (6 words)", "Put a dog on the lawn."),
    ('Rephrase the instruction as: "Put a dog on the lawn."', "Put a dog on the lawn."),
]
BAD = [
    ("empty", "Add a dog", " "),
    ("empty", "Add a dog", '"..."'),
    ("unreadable", "Add a dog", "Put a dog \ufffd in"),
    ("unreadable", "Add a dog", "Put a d\x7fog in"),
    ("refusal", "Remove her shirt", "I cannot fulfill your request."),
    ("refusal", "Remove her shirt", "Sorry, but I won't do that."),
    ("refusal", "Remove her shirt", "I'm just an AI, it's not within my programming"),
    ("refusal", "Add a dog", "As a responsible AI language model, I add no dog"),
    ("boilerplate", "Add a dog", "Here are four variations:"),
    ("boilerplate", "Add a dog", "Sure! Add a dog here"),
    ("boilerplate", "Add a dog", "{Dadaist variation}"),
    ("boilerplate", "Add a dog", "Possible dogs to add:"),
    ("asks for a text", "Add a dog", "Rewrite the sentence to include a dog"),
    ("asks for a text", "Add a dog", "Write a poem about adding a dog"),
    ("about the request", "Add a dog", "The instruction asks for a dog"),
    ("about the request", "Add a dog", "There are four different ways to add a dog"),
    ("about a text", "Make it a cartoon", "Convert this text into a cartoon"),
    ("characters", "Add a dog", "Put a dog in 🐶"),
    ("characters", "Add a dog", "添加 a dog"),
    ("cut off", "Add a dog to the lawn", '"Put a dog on the lawn'),
    ("cut off", "Add a dog to the lawn", "Put a dog on the lawn,"),
    ("cut off", "Add a dog to the lawn", "Put a dog (brown"),
    ("a single word", "Add a dog", "Dog"),
    ("a long text", "Add a dog", "Put a dog in " + 20 * "and then tell " + "a cat"),
    ("several sentences", "Add a dog", "Put a dog in. It is brown."),
    ("several sentences", "Remove the dog in front of the house", "Take away the dog in front of the house - now"),
    ("several sentences", "Add a dog", "Put a dog in (a brown one)"),
    ("several sentences", "Add a dog", "Put a dog in - it should be brown"),
    ("same", "Add a dog", "add the dog!"),
    ("same", "Remove the dogs", "Removing dog"),
    ("quoted text", "Add the word 'SWIM' to the surfboard", "Write 'Swim' on the surfboard"),
    ("number", "Add two dogs", "Put dogs in"),
    ("number", "Add two dogs", "Put three dogs in"),
    ("number", "Add dogs", "Put 4 dogs in"),
    ("number", "Remove both chairs", "Take the chair away"),
    ("colour", "Make the red car blue", "Paint the car blue"),
    ("colour", "Make the car red", "Turn the car blue"),
    ("colour", "Add a car", "Insert a red car"),
    ("place", "Add a dog on the left", "Put a dog on the right"),
    ("place", "Add a dog on the left", "Put a dog in"),
    ("place", "Add a dog in the corner", "Put a dog in the left corner"),
    ("place", "Put the cup above the shelf", "Place the cup below the shelf"),
    ("place", "Add a dog behind the tree", "Put a dog in front of the tree"),
    ("place", "Add a dog on the bench", "Put a dog next to the bench"),
    ("exchanged", "Replace the cat with a dog", "Swap the dog for a cat"),
    ("exchanged", "Turn the horses into zebras", "Change the zebras into horses"),
    ("action", "Open the door", "Close the door"),
    ("action", "Add a dog to the lawn", "Remove the dog from the lawn"),
    ("action", "Add a dog to the lawn", "Take the dog off the lawn"),
    ("action", "Add a dog to the lawn", "Do not add a dog to the lawn"),
    ("action", "Remove the dog", "Don't remove the dog"),
    ("action", "Remove the dog", "Insert the dog"),
    ("action", "Give the man a hat", "Show the man without a hat"),
    ("things left out", "Add a dog to the lawn", "Put an animal on the lawn"),
    ("things left out", "Add a dog to the lawn", "Put a dog on the"),
    ("things left out", "Make it day", "Turn it to night"),
    ("things left out", "Remove the vase and the lamp from the table", "Take away the vase, please"),
    ("things of its own", "Add a dog to the lawn", "Put a dog and a ball on the lawn"),
    ("things of its own", "Add a dog", "Imagine a dog was added"),
    ("things of its own", "Add a dog", "<b>Put a dog in"),
    ("things of its own", "Make the car green", "Name the car 'Green Car'"),
    ("things of its own", "Add a dog to the lawn", "Reboot the lawn with a dog"),
    ("things of its own", "Make the jacket of the man striped", "Create a striped jacket for the man"),
    ("things of its own", "Make it snowy", "Turn it into a snowy mountain village"),
]  # fmt: skip
# The strict rules refuse some of these, but they can be captions.
GOOD_FORMAT = [
    ("Add pleural effusion", "Insert fluid in the pleural space"),
    ("Add a dog", "A brown dog has appeared. It is on the lawn."),
    ("Change the roof from tin to tiles", "The roof is now tiled"),
    ("Add plan b) to the board", "Write plan b) on the board"),
    ("Make the T - shirt of the man red", "Turn the T - shirt of the man red"),
    ("Mach das Auto rot", "Male das Auto rot an"),
    ("Ajoute un chien sur la pelouse", "Mets un chien sur l'herbe"),
    ("在草地上加一只狗", "把一只狗放在草坪上"),
]
MENDED_FORMAT = [
    ("### Take the dog off the lawn", "Take the dog off the lawn"),
    ("Take the dog off the lawn in front of the house - now", "Take the dog off the lawn in front of the house - now"),
]
# Of the 8,031 paraphrases of Llama-2-7b-chat: what each rule rejects.
REJECTED = {
    "format": {
        "empty": 2,
        "refusal": 35,
        "boilerplate": 12,
        "asks for a text": 37,
        "about the request": 74,
        "cut off": 527,
        "a single word": 2,
        "same": 208,
        "repeated": 4,
    },
    "strict": {
        "empty": 2,
        "refusal": 35,
        "boilerplate": 12,
        "asks for a text": 37,
        "about the request": 74,
        "cut off": 527,
        "a single word": 2,
        "same": 208,
        "repeated": 2,
        "about a text": 68,
        "characters": 18,
        "several sentences": 205,
        "quoted text": 27,
        "number": 84,
        "colour": 378,
        "action": 331,
        "place": 531,
        "exchanged": 66,
        "things left out": 1296,
        "things of its own": 2155,
    },
    "none": {"empty": 2},
}
# Texts that are taken, and rows of the 2,022 that keep all four.
ACCEPTED = {"none": (8029, 1982), "format": (7130, 1508), "strict": (1973, 113)}


@pytest.mark.parametrize(("instruction", "text"), GOOD)
def test_good(instruction, text):
    assert judge(text, instruction, rules="strict") == judge(text, instruction) == (text, None)


@pytest.mark.parametrize(("instruction", "text"), GOOD_FORMAT)
def test_good_captions(instruction, text):
    assert judge(text, instruction) == (text, None)


@pytest.mark.parametrize(("text", "mended"), MENDED_FORMAT)
def test_mended_captions(text, mended):
    assert judge(text, "Remove the dog") == (mended, None)


def test_without_rules_nothing_is_changed():
    assert judge(' "Put a dog in" ', "Add a dog", rules="none") == ('"Put a dog in"', None)
    assert judge("I cannot do that", "Add a dog", complete=False, rules="none") == ("I cannot do that", None)
    assert judge("  ", "Add a dog", rules="none")[1] == "empty"


@pytest.mark.parametrize(("text", "mended"), MENDED)
def test_mended(text, mended):
    assert judge(text, "Add a dog to the lawn", rules="strict") == (mended, None)


@pytest.mark.parametrize(("rule", "instruction", "text"), BAD)
def test_bad(rule, instruction, text):
    assert judge(text, instruction, rules="strict")[1] == rule
    if rule in RULE_SETS["format"]:
        assert judge(text, instruction)[1] == rule


def test_every_rule_is_seen():
    assert {rule for rule, _, _ in BAD} | {"repeated"} == set(RULES)


def test_repeated():
    others = ["Put a dog on the lawn"]
    assert judge("put the dog on the lawn.", "Add a dog to the lawn", others)[1] == "repeated"
    assert judge("Place a dog on the lawn.", "Add a dog to the lawn", others)[1] is None


def test_an_incomplete_text():
    assert judge("Put a dog on the lawn", "Add a dog to the lawn", complete=False)[1] == "cut off"


def test_what_the_instruction_says_itself_is_no_fault():
    for text, instruction in (
        ("Write a story on the sign", "Add a story to the sign"),
        ("Put the café's “Crème” sign (big) 🙂 in", "Add the café's “Crème” sign (big) 🙂"),
    ):
        assert judge(text, instruction, rules="strict")[1] is None


@pytest.fixture(scope="module")
def llama_2():
    """`(instruction, paraphrases)` of each of Emu Edit's test pairs."""
    lines = read_annotations("syned", "instructions_with_idx_test_split.txt").splitlines()
    instructions = dict(map(str.strip, line.split("<INSTRUCT>")) for line in lines)
    return [
        (instructions[index], texts) for index, texts in read_paraphrases(ANNOTATIONS / "syned" / PARAPHRASES).items()
    ]


@pytest.mark.parametrize("rules", RULE_SETS)
def test_the_paraphrases_of_llama_2(llama_2, rules):
    counts, accepted, refusals, full = Counter(), [], Counter(), 0
    for instruction, texts in llama_2:
        kept = []
        for text in texts:
            mended, rule = judge(text, instruction, kept, rules=rules)
            counts[rule] += 1
            if rule is None:
                kept.append(mended)
            refusals[rule] += bool(REFUSAL.search(text))
        accepted += kept
        full += len(kept) >= 4
    assert (counts.pop(None), full) == (len(accepted), full) == ACCEPTED[rules]
    assert counts == REJECTED[rules]
    if rules != "none":
        assert refusals.total() == refusals["refusal"] == 34
        assert not [text for text in accepted if "language model" in text.lower()]
        assert not [text for text in accepted if text.startswith('"') and text.count('"') % 2]


def test_the_paraphrases_of_other_instructions(llama_2):
    others = llama_2[len(llama_2) // 2 :] + llama_2[: len(llama_2) // 2]
    taken = Counter(
        (one, other)
        for (one, _), (other, texts) in zip(llama_2, others, strict=True)
        for text in texts
        if not judge(text, one, rules="strict")[1]
    )
    assert not taken
