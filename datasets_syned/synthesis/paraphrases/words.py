"""What the words of an editing instruction in English say: numbers, colours, quoted texts, things, the way it goes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

WORD = re.compile(r"\w+(?:['’]\w+)*")
QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|‘([^’]+)’|(?<!\w)'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")

NUMBERS = dict(
    zip(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty hundred thousand dozen".split(),
        map(str, (*range(2, 21), 30, 40, 50, 100, 1000, 12)),
        strict=True,
    )
)
TWO = {"both", "pair", "couple", "double", "twin"}  # may be said for two, or for nothing: a pair of scissors
COLOURS = {word: word for word in (
    "red orange yellow green blue purple violet pink brown black white gray gold silver beige turquoise teal cyan "
    "magenta maroon navy tan crimson scarlet lavender indigo ivory bronze burgundy khaki lime mauve peach emerald"
).split()} | {"grey": "gray", "golden": "gold", "silvery": "silver", "violet": "purple", "reddish": "red"}  # fmt: skip

ADD = frozenset(
    "add insert put place include attach give introduce incorporate position install append affix bring apply "
    "decorate embed equip".split()
)
REMOVE = frozenset(
    "remove delete erase eliminate exclude omit discard dispose extract subtract disappear vanish without "
    "absent uninstall".split()
)
REMOVE_PHRASE = re.compile(
    r"\b(?:get|take|takes|taken|taking|pull|clear|cut|crop|strip|wipe|edit|leave|lift|pluck|peel|throw|clean|blot)\b"
    r"(?:\W+\w+){0,6}?\W+(?:away|off|out|down|from)\b|^\W*(?:clear|lose|drop)\b"
    r"|\b(?:get|gets|getting|got) rid\b|\bno longer\b|\bno more\b|\bdo away with\b|\bfree of\b|\bdevoid of\b",
    re.IGNORECASE,
)
CHANGE = frozenset(
    "change replace swap turn convert transform make switch substitute exchange alter modify adjust edit update shift "
    "adapt set morph recreate render have let want get take show display depict portray represent "
    "recolor color colour paint redo revise transition transfer redesign appear look seem resemble become use keep "
    "please need should would could can ensure feature wear write draw enhance simulate elevate "
    "provide print inscribe switch".split()
)
# They begin an edit only of the given image: "a painting of a dog" is another one.
MAKE_NEW = frozenset("create generate design produce craft construct build develop".split())
GIVEN_IMAGE = re.compile(
    r"\b(?:this|the|the given|the provided) (?:image|picture|photo|photograph|scene)\b|\bbackground\b", re.IGNORECASE
)
# What else an edit may begin with.
OPENING = frozenset(
    "please there pull rework fill clear mount pour cut superimpose hang build stick tie cover raise spread layer "
    "sprinkle wipe integrate overlay peel strip wrap dress adorn relocate darken lighten brighten dim blur sharpen "
    "desaturate saturate tint dye dip stain coat frost drizzle drape lay lean stack pile arrange scatter surround frame "
    "revamp remodel refashion reimagine reinterpret restyle stylize rotate flip mirror turn tilt enlarge "
    "increase reduce shrink expand extend lengthen shorten widen resize scale crop cut trim shave pluck grow plant age "
    "light lift pick drop throw bend fold unfold open close shut empty evolve mutate metamorphose transfigure transmute "
    "reshape shape mold carve sculpt trade interchange upgrade fasten secure strap seat situate hide conceal mask "
    "display go only do keep reflect bathe smooth polish clean wash dirty flood freeze melt burn "
    "ignite illuminate reorient illustrate animate sketch tile paste stamp label name "
    "mark engrave etch emblazon embroider embellish style repaint reupholster refinish replenish supplement top bring "
    "convey lend invert blend merge imbue infuse drown submerge enclose cage confine sink step bump".split()
)
# About the image as a whole, or how something is done in it: nothing that a paraphrase must say as well.
GENERAL = frozenset(
    "image picture photo photograph pic scene visual shot hue shade tint style version appearance way kind type bit "
    "view existing current currently entire entirely completely fully instead new original part area side corner edge "
    "middle center centre top bottom front back next near beside adjacent close around along across behind above below "
    "beneath under over inside outside left right up down off out away located word text phrase letter lettering term "
    "caption setting atmosphere effect environment feel vibe impression illusion aesthetic "
    # Praise
    "beautiful bold breathtaking captivating colorful colourful detailed dramatic elegant eye catching lively "
    "picturesque realistic scenic serene sleek striking stunning stylish subtle unique vibrant vivid visually "
    "whimsical".split()
)
STOP = frozenset(
    "a an the this that these those it its he she they them his her their him there here i you your my me we our us "
    "is are was were be been being am do does did has had having will shall may might must of in on at to from for "
    "with by as into onto and or but so if then than like just only also too very more most some any all each every "
    "one ones no not s t re ve ll d m which who what where when while such same other another own about between "
    "through upon within toward towards against".split()
)
IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot", "teeth": "tooth",
    "leaves": "leaf", "knives": "knife", "wolves": "wolf", "shelves": "shelf", "mice": "mouse", "worn": "wear",
    "geese": "goose", "wore": "wear", "wooden": "wood", "woolen": "wool", "frozen": "freeze", "held": "hold",
    "got": "get", "made": "make", "took": "take", "given": "give", "taken": "take", "hid": "hide", "snowing": "snow",
}  # fmt: skip
SYNONYMS = (
    "background backdrop", "tv television", "bike bicycle", "couch sofa",
    "phone cellphone smartphone telephone", "person individual human people", "man guy gentleman male",
    "woman lady female", "kid child", "plane airplane aeroplane aircraft", "car automobile", "ocean sea",
    "dog canine", "cat feline", "sunglasses shades", "rock stone", "cartoon animation animated anime",
    "painting artwork", "forest wood", "outdoors outside", "street road", "night nighttime", "day daytime",
    "monitor display screen", "photo picture", "couple pair", "fluffy furry", "grin smile", "trash garbage rubbish", "large big",
    "little small", "shiny glossy", "tee tshirt", "ufo saucer", "hair haircut hairstyle", "lit light lighting",
)  # fmt: skip
OPPOSITES = (
    ("left", "right"), ("top upper", "bottom lower"), ("above", "below under beneath underneath"),
    ("before", "after"), ("front", "behind back rear"), ("inside indoor indoors", "outside outdoor outdoors"),
    ("open opened", "close closed shut"), ("day daytime daylight", "night nighttime"), ("sunrise", "sunset"),
    ("big bigger large larger huge giant", "small smaller tiny little miniature"), ("more", "fewer less"),
    ("bright brighter", "dark darker"), ("old older elderly", "young younger"), ("long longer", "short shorter"),
    ("hot", "cold"), ("wet", "dry"), ("man men", "woman women"), ("boy boys", "girl girls"), ("happy", "sad"),
    ("summer", "winter"), ("first", "last"), ("full", "empty"), ("increase", "decrease reduce"), ("tall taller", "short shorter"),
)  # fmt: skip
SAME = {"leftmost": "left", "rightmost": "right", "photograph": "photo"}
# Where something is, in relation to something else.
RELATIONS = ("near nearby next beside besides adjacent alongside close vicinity by", "behind", "front before", "above over top atop upper",
             "below under beneath underneath", "between among amid", "inside into in within", "around surrounding")
AMBIGUOUS = {"by", "over", "top", "upper", "into", "in", "within", "close", "before", "inside", "around", "surrounding"}
EXCHANGE = re.compile(
    r"\b(?:replac|swap|chang|turn|convert|transform|switch|exchang|morph|mak)\w*\b(?P<old>.+?)"
    r"\b(?:with|by|to|into|for)\b(?P<new>.+)",
    re.IGNORECASE,
)


def as_words(literal: str) -> re.Pattern:
    """Finds a text where it is no part of a word."""
    return re.compile(rf"(?<!\w){re.escape(literal)}(?!\w)")


def unquoted(text: str, literals: Iterable[str] = ()) -> str:
    """A text without what it quotes, and without `literals` wherever they stand."""
    for literal in literals:
        text = as_words(literal).sub(" ", text)
    return QUOTED.sub(" ", text)


def quoted(text: str) -> list[str]:
    """What a text quotes, without a stop or a comma at its end: `Write "Go!" on it` quotes `Go!`."""
    found = (next(filter(None, match.groups())).strip().rstrip(".,") for match in QUOTED.finditer(text))
    return [inside for inside in found if inside]


def stem(word: str) -> str:
    """`dogs`, `dog's` and `dog` are the same, so are `removing`, `removed` and `remove`; no more than that."""
    word = re.sub(r"['’]s?$", "", word.lower())
    word = IRREGULAR.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif re.search(r"(?:s|x|z|ch|sh)es$", word):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    ending = re.fullmatch(r"(.*[aeiouy].*?)(?:ing|ed)", word)
    if ending and len(ending[1]) > 2:
        word = re.sub(r"([^aeiouls])\1$", r"\1", ending[1])
    return word.removesuffix("e") if len(word) > 3 else word


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, str]:
    return {stem(word): stem(group.split()[0]) for group in SYNONYMS for word in group.split()}


def same_thing(one: str, other: str) -> bool:
    """Whether two stems are synonyms, forms of one word (`cubism`, `cubist`), or one is the other with a typo."""
    one, other = _synonyms().get(one, one), _synonyms().get(other, other)
    shorter, longer = sorted((one, other), key=len)
    if one == other or len(shorter) >= 4 and longer.startswith(shorter):
        return True
    common = len(shorter) - 3
    if common >= 4 and len(longer) - common <= 4 and longer.startswith(shorter[:common]):
        return True
    return len(shorter) >= 5 and one[:2] == other[:2] and SequenceMatcher(None, one, other).ratio() > 0.8


@dataclass(frozen=True)
class Said:
    """
    What an instruction says.

    Args:
        words (`list[str]`): all, in lower case, without what is quoted.
        numbers, colours (`set[str]`): in digits, and by one name each.
        things (`list[str]`): stems of its other content words, editing verbs and words about the image left out.
        adds, removes (`bool`): whether it has a verb of the kind.
    """

    words: list[str]
    numbers: set[str]
    colours: set[str]
    things: list[str]
    adds: bool
    removes: bool


@lru_cache(maxsize=4096)
def said(text: str, literals: tuple[str, ...] = ()) -> Said:
    """Reads an instruction; `literals` are texts that an image shall show, so that their words mean nothing."""
    plain = unquoted(text, literals)
    words = [SAME.get(word, word) for word in WORD.findall(plain.replace("-", " ").lower())]
    numbers = {NUMBERS[word] for word in words if word in NUMBERS} | set(re.findall(r"\d+(?:[.,]\d+)*", plain))
    colours = {COLOURS[name] for word in words if (name := word.removesuffix("s")) in COLOURS}
    stems = {word: stem(word) for word in words}
    aside = NUMBERS.keys() | TWO | STOP | GENERAL
    things = [
        stems[word]
        for word in words
        if not (word in aside or word.removesuffix("s") in COLOURS or stems[word] in _verbs() or word.isdigit())
    ]
    verbs = set(stems.values())
    removes = bool(verbs & _stems(REMOVE)) or bool(REMOVE_PHRASE.search(plain))
    return Said(words, numbers, colours, list(dict.fromkeys(things)), bool(verbs & _stems(ADD)), removes)


@lru_cache(maxsize=16)
def _stems(words: frozenset[str]) -> frozenset[str]:
    return frozenset(map(stem, words))


def _verbs() -> frozenset[str]:
    return _stems(ADD | REMOVE | CHANGE | MAKE_NEW | GENERAL)


def begins_as_edit(before: Said, after: Said) -> bool:
    """Whether the first word is a verb of editing, or one that the instruction has as well."""
    first = stem(next(iter(after.words), ""))
    if first in _stems(MAKE_NEW):
        return first in map(stem, before.words[:1]) or bool(GIVEN_IMAGE.search(" ".join(after.words)))
    return first in _stems(ADD | REMOVE | CHANGE | OPENING) or first in map(stem, before.words[:1])


def shared(things: Iterable[str], one: Said, other: Said) -> list[str]:
    """Those of the `things` of `one` that `other` says as well, perhaps in one word: `table cloth`, `tablecloth`."""
    there = set(other.things) | _compounds(other).keys()
    compounds = [parts for compound, parts in _compounds(one).items() if compound in other.things]
    return [
        thing
        for thing in things
        if any(same_thing(thing, word) for word in there) or any(thing in parts for parts in compounds)
    ]


def _compounds(it: Said) -> dict[str, tuple[str, str]]:
    return {stem(a + b): (stem(a), stem(b)) for a, b in pairwise(it.words)}


def flipped(before: Said, after: Said) -> str | None:
    """The first word that says another place or the opposite: `right` for `left`, `next to` for `on`."""
    had, has = set(before.words), set(after.words)
    for one, other in (pair for a, b in OPPOSITES for pair in ((a, b), (b, a))):
        one, other = set(one.split()), set(other.split())
        if had & one and has & other and not has & one and not had & other:
            return min(has & other)
    for words in map(set, map(str.split, RELATIONS)):
        if has & words - AMBIGUOUS and not had & words:
            return min(has & words)
    return min((has ^ had) & {"left", "right"}, default=None)


def exchanged(before: str, after: str) -> bool:
    """Whether old and new changed places: `replace the cat with a dog`, `turn the dog into a cat`."""
    one, other = EXCHANGE.search(before), EXCHANGE.search(after)
    if not (one and other):
        return False
    def kept(part: str, other_part: str) -> list[str]:
        before, after = said(one[part]), said(other[other_part])
        return shared(before.things, before, after)

    crossed = kept("old", "new") and kept("new", "old")
    return bool(crossed) and not kept("old", "old") and not kept("new", "new")
