"""The tokenizer: by hand, and against pycocoevalcap's on real and on made-up captions."""

import random

import pytest

from metrics.cider import tokenize
from metrics.cider.tokenizer import tokenize_all

CASES = {
    "": "",
    "The Dog's red ball, gone!": "the dog 's red ball gone",
    "it’s there, they're not": "it 's there they 're not",
    "don't can't won’t ISN'T": "do n't ca n't wo n't is n't",
    "cannot gonna wanna gotta gimme lemme": "can not gon na wan na got ta gim me lem me",
    "'tis 'twas y'all": "'t is 't was y' all",
    "o'clock O'Brien ma'am 'em 'til '90s shi'ite d'Artagnan": "o'clock o'brien ma'am 'em 'til '90s shi'ite d'artagnan",
    "'hello' “hi” \"there\" the 'O' sign": "hello hi there the o sign",
    "blue-eyed a_b and/or 3/4 10:30 3D 1st 5k": "blue-eyed a_b and/or 3/4 10:30 3d 1st 5k",
    "AT&T b&w R&B C++ @user #tag a@b.com www.x.com http://a.b/c?d": (
        "at&t b & w r&b c++ @user #tag a@b.com www.x.com http://a.b/c?d"
    ),
    "U.S. e.g. 10 a.m. Mr. x etc. end.": "u.s. e.g. 10 a.m. mr. x etc. end",
    "no. 5 but no. And fig. 2, fig. two": "no. 5 but no and fig. 2 fig two",
    "miss. Miss. the cat., the cat.": "miss miss. the cat. the cat",
    "... -- – — ; : , . ? ! a ?! b !!": "a ?! b !!",
    "(a) [b] {c}": "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-",
    "£5 5€ 5¢ ½ &amp; 100% $5 #1": "# 5 5 $ 5 cents 1/2 & 100 % $ 5 # 1",
    "1 1/2 cups": "1\xa01/2 cups",
    "left.The dog": "left.the dog",
    "colour grey": "colour grey",
    "a smile :) here 🎨 co\xadop ❤️": "a smile :-rrb- here coop ❤",
    "2 people, 1,000.50 -5 5-6 1.5-inch": "2 people 1,000.50 -5 5-6 1.5-inch",
    "café Gaudí's naïve": "café gaudí 's naïve",
}


@pytest.mark.parametrize("caption", CASES)
def test_tokens_of(caption):
    assert " ".join(tokenize(caption)) == CASES[caption]
    assert tokenize_all([caption, caption]) == [CASES[caption]] * 2


@pytest.mark.parametrize("space", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\u2028", "\u2029", "\x85", "\t", "\xa0"])
def test_every_line_break_is_a_space(space):
    assert tokenize(f"a red{space}ball.{space}") == ["a", "red", "ball"]
    assert tokenize_all([f"a{space}b", "c"]) == ["a b", "c"]


def test_captions_stand_alone():
    # Where the reference reads the whole file, "no." would keep its period before the "5" of the next caption.
    assert tokenize_all(["say no.", "5 dogs", "you're"]) == ["say no", "5 dogs", "you 're"]


def test_fractions_are_one_token():
    assert tokenize("1 1/2 cups") == ["1\xa01/2", "cups"]


def test_hand_cases_are_what_the_reference_says(java_tokenize):
    # Soft hyphens within words and the like included: CASES is not our opinion.
    assert dict(zip(CASES, java_tokenize(list(CASES)), strict=True)) == CASES


def test_all_annotation_captions_equal_the_reference(annotation_captions, java_tokenize):
    assert len(annotation_captions) > 38_000
    expected = java_tokenize(annotation_captions)
    wrong = [
        (caption, ours, theirs)
        for caption, ours, theirs in zip(annotation_captions, tokenize_all(annotation_captions), expected, strict=True)
        if ours != theirs
    ]
    assert wrong == []


def test_made_up_captions_nearly_all_equal_the_reference(java_tokenize):
    """Words with punctuation before, inside, behind and around them; the rate is a floor, not the aim."""
    generator = random.Random(0)
    words = "the man's car isn't there Two dogs A left-hand view 10 and/or 3D it's moved Mr. U.S. etc. no.".split()
    pieces = [*".,;:!?'\"()[]{}-–—/&%$#@*+=<>_~|^", "...", "--", "’s", "“", "”", " 5", "'90s", "½", "é", "n't", "\\"]
    captions = []
    for _ in range(4000):
        row = generator.choices(words, k=6)
        place, piece = generator.randrange(6), generator.choice(pieces)
        word = row[place]
        cut = generator.randint(0, len(word))
        row[place] = generator.choice(
            [piece + word, word + piece, word[:cut] + piece + word[cut:], piece + word + piece, f"{word} {piece}"]
        )
        captions.append(" ".join(row))
    same = [a == b for a, b in zip(tokenize_all(captions), java_tokenize(captions), strict=True)]
    assert sum(same) / len(same) >= 0.99
