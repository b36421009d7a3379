"""The tokenizer: by hand, and against pycocoevalcap's on real and on made-up captions."""

import importlib
import inspect
import random
import re
import time

import pytest

from metrics.cider import tokenize, tokenizer
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
    # contractions and apostrophes
    "IT'S DON'T y’all're ol' dunkin' c'mon c’mon li'l": ("it 's do n't y’ all 're ol' dunkin' c'mon c 'm on li'l"),
    "don`t do`s é'n't j'ai l'a K'nex and-R'sa O'5a": ("do n`t do s é 'n' t j' ai l' a k'nex and-r sa o'5a"),
    "cannot's gonna't '10s '20s '95 '95s rock'n'roll": ("cannot 's gon na t 10s '20s '95 95s rock 'n' roll"),
    "it&apos;s AT&amp;T &quot;a&quot; &nbsp; &MD; &AMP; caf&eacute; &copy;": ("it 's at&t a & caf&eacute; & copy"),
    # quotes that are not straight go in pairs
    "“‘a’” ”’ «» ‚a‘ ‹ab›": ("``` a ''' ''' ``'' ‚ a ab"),
    # abbreviations
    "Nov.25 Nov.x Mr.x cont'd. PTY. Pty. Az. az. sys. invt.": (
        "nov. 25 nov. x mr.x cont'd. pty pty. az. az sys. invt."
    ),
    "plan B. The plan b. the J. Mr. X J. <b> U.S. The": ("plan b the plan b. the j mr. x j <b> u.s. the"),
    "dog-U.S.-cat a,b-c.d dog., anti- pro-x x-": ("dog-u.s.-cat a,b-c d dog. anti- pro-x x"),
    # numbers
    "5.c 3d.cpp 5.xyz v5.x 5.tar.gz, 5.c; 12/5/2010 5/49-961": (
        "5.c 3d.cpp 5 xyz v5.x 5.tar.gz 5 c 12/5/2010 5/49-961"
    ),
    "(123) 456-7890 +44 20 7946 0958 7-0/90305 left\\/right": (
        "-lrb-123-rrb-\xa0456-7890 +44\xa020\xa07946\xa00958 7-0/9030 5 left\\/right"
    ),
    "FTSD$5 x$ ₤5 5¤ x² H₂O 2⁻¹⁰ ⅓ ⅝": ("ftsd$ 5 x $ ₤ 5 5 $ x ² h ₂ o 2 ⁻¹⁰ 1/3 ⅝"),
    ". . .5 ......5 .......5 \\*\\* ***": ("5 .5 .5 \\*\\* ***"),
    # addresses, markup, faces
    "@_ @é @a-b #é #a5 é@a a@b} a##b.com B#c.com www.a.io/b:": (
        "@_ @ é @a b #é #a 5 é @a a@b -rcb- a##b.com b #c.com www.a.io/b:"
    ),
    "<b x=1> <b x='1' y> </b x> </b > <b / > <!-- a > <é> -LRB-": (
        "< b x = 1 > <b\xa0x='1'\xa0y> < / b x > </b\xa0> <b\xa0/\xa0> <!--\xa0a\xa0> < é > -lrb-"
    ),
    "(--^) (^-^) x_< =[é (:=O)": ("-lrb- ^ -rrb- -lrb-^-^-rrb- x_< =[ é -lrb- =o -rrb-"),
    # other scripts, marks and soft hyphens
    "हिन्दी สวัสดี e\u0301te\u0301 5e\u0301 ٣٤ 漢字 5\xad5 \xad.dog long-es\xadtab": (
        "हिन्दी สวัสดี e\u0301te\u0301 5e \u0301 ٣٤ 漢字 55 .dog long-estab"
    ),
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


WORDS = "the man's car isn't there Two dogs A left-hand view 10 and/or 3D it's moved Mr. U.S. etc. no. I é 1.5".split()
SIGNS = [
    *".,;:!?'\"`()[]{}-–—/&%$#@*+=<>_~|^\\",
    *"‘’“”«»‹›‚„…•°€£½²",
    "...",
    "--",
    "’s",
    "'90s",
    "n't",
    " ",
    "\xad",
    "😀",
]


def _edited(generator):
    """Words with signs before, inside, behind and around them."""
    row = generator.choices(WORDS, k=4)
    for _ in range(2):
        place, sign = generator.randrange(4), generator.choice(SIGNS)
        word = row[place]
        cut = generator.randint(0, len(word))
        row[place] = generator.choice(
            [sign + word, word + sign, word[:cut] + sign + word[cut:], sign + word + sign, f"{word} {sign}"]
        )
    return " ".join(row)


def _printable(generator):
    return "".join(map(chr, generator.choices(range(32, 127), k=generator.randint(2, 8))))


def _chained(generator):
    return "".join(generator.choices(WORDS + SIGNS, k=generator.randint(2, 6)))


def _unicode(generator):
    character = chr(generator.choice([*range(0xA1, 0x250), *range(0x2010, 0x2028), *range(0x20A0, 0x2700)]))
    if generator.random() < 0.5:
        character = chr(generator.choice([*range(0x250, 0x2000), *range(0x2030, 0xD800), *range(0xE000, 0xFFF0)]))
    return generator.choice(["a {} b", "ab{}cd", "12{}34", "dog{} x", "x {}dog"]).format(character)


def _numbers(generator):
    digits = ("".join(generator.choices("0123456789", k=generator.randint(1, 5))) for _ in range(4))
    signs = ["-", " ", ".", ",", "/", ":", "", ") ", "%", "$", "th", "'s", "cm", "½"]
    start = generator.choice(["", "+", "(", "$", "#", "'", "no. ", "-"])
    return start + "".join(number + generator.choice(signs) for number in digits)


def _addresses(generator):
    starts = ["", "http://", "www.", "<", "@", "#", "a@", "see ", "/"]
    middles = ["example", "my-site", "a.b", "B", "5", "é", "x_1", "<b>", "<b x='1'>", "&amp;", "a=1"]
    ends = [".com", ".org/ab", ".jpg", ".c", "/a?b=c&d", "@b.de", ">", ".", ",", "'s", "/", " x"]
    return generator.choice(starts) + generator.choice(middles) + "".join(generator.choices(ends, k=2))


def _sentences(generator):
    text = generator.choice(PROSE)[:100]
    cut = generator.randrange(len(text))
    return text[:cut] + generator.choice(SIGNS) + text[cut + generator.randint(0, 1) :]


MODULES = "argparse collections csv datetime decimal difflib email fractions logging pathlib statistics"
# Sentences that are on every machine and that no rule was made for.
PROSE = sorted(
    {
        " ".join(sentence.split())
        for name in MODULES.split()
        for thing in vars(importlib.import_module(name)).values()
        for owner in (thing, *(vars(thing).values() if isinstance(thing, type) else ()))
        for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n", inspect.getdoc(owner) or "")
        if len(sentence.split()) > 2
    }
)


@pytest.mark.parametrize(
    ("make", "floor"),
    [
        (_edited, 0.999),
        (_printable, 0.999),
        (_chained, 0.998),
        (_unicode, 0.9995),
        (_numbers, 0.9995),
        (_addresses, 0.9995),
        (_sentences, 0.998),
    ],
)
def test_made_up_captions_nearly_all_equal_the_reference(java_tokenize, make, floor):
    """The rates are floors just below what is reached."""
    generator = random.Random(0)
    captions = [make(generator) for _ in range(8000)]
    same = [a == b for a, b in zip(tokenize_all(captions), java_tokenize(captions), strict=True)]
    assert sum(same) / len(same) >= floor


def test_prose_equals_the_reference(java_tokenize):
    assert len(PROSE) > 1000
    same = [a == b for a, b in zip(tokenize_all(PROSE), java_tokenize(PROSE), strict=True)]
    assert sum(same) / len(same) >= 0.998


@pytest.mark.parametrize(
    "unit", ["a-", "a.", "a'", "a,b-", "<a ", "5,", "a@", "&", "é.", "n't", "1/", "1 ", "I. ", "\xad"]
)
def test_long_captions_take_no_longer_than_their_length_explains(unit):
    # A pattern that tries all ways to cut these would not end in a lifetime.
    started = time.perf_counter()
    tokenize_all([unit * 1000])
    assert time.perf_counter() - started < 5


def test_the_memory_of_chunks_is_bounded(monkeypatch):
    monkeypatch.setattr(tokenizer, "_MEMORY", 100)
    tokenize_all([f"word{number} again" for number in range(1000)])
    assert len(tokenizer._CHUNKS) <= 100
    assert tokenize_all(["word5 again"]) == ["word5 again"]
