"""The words that editing instructions in English are made of, by what they do there."""

import re

NUMBERS = dict(
    zip(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty hundred thousand dozen both".split(),
        map(str, (*range(2, 21), 30, 40, 50, 100, 1000, 12, 2)),
        strict=True,
    )
)
TWO = {"pair", "couple", "double", "twin"}  # may be said for two, or for nothing: a pair of scissors
COLOURS = {word: word for word in (
    "red orange yellow green blue purple violet pink brown black white gray gold silver beige turquoise teal cyan "
    "magenta maroon navy tan crimson scarlet lavender indigo ivory bronze burgundy khaki lime mauve peach emerald"
).split()} | {"grey": "gray", "golden": "gold", "silvery": "silver", "violet": "purple", "reddish": "red"}  # fmt: skip

ADD = frozenset(
    "add insert put place include attach give introduce incorporate position install append affix bring apply "
    "decorate embed equip".split()
)
REMOVE = frozenset(
    "remove delete erase eliminate exclude omit discard dispose extract subtract disappear vanish no without absent "
    "uninstall".split()
)
REMOVE_PHRASE = re.compile(
    r"\b(?:get|take|takes|taken|taking|pull|clear|cut|crop|strip|wipe|edit|leave|lift|pluck|peel|throw|clean|blot)\b"
    r"(?:\W+\w+){0,6}?\W+(?:away|off|out|down|from)\b|^\W*(?:clear|lose|drop)\b"
    r"|\b(?:get|gets|getting|got) rid\b|\bno longer\b|\bno more\b|\bdo away with\b|\bfree of\b|\bdevoid of\b",
    re.IGNORECASE,
)
NEGATED = re.compile(r"\b(?:not|never|avoid|refrain|\w+n['’]t)\b", re.IGNORECASE)
CHANGE = frozenset(
    "change replace swap turn convert transform make switch substitute exchange alter modify adjust edit update "
    "shift adapt set morph recreate render have let want get take show display depict portray represent recolor "
    "color colour paint redo revise transition transfer redesign appear look seem resemble become use keep please "
    "need should would could can ensure feature wear write draw enhance simulate elevate provide print "
    "inscribe".split()
)
# They begin an edit only of the given image: "a painting of a dog" is another one.
MAKE_NEW = frozenset("create generate design produce craft construct build develop".split())
GIVEN_IMAGE = re.compile(
    r"\b(?:this|the|the given|the provided) (?:image|picture|photo|photograph|scene)\b|\bbackground\b", re.IGNORECASE
)
# What else an edit may begin with.
OPENING = frozenset(
    "please there pull rework fill clear mount pour cut superimpose hang build stick tie cover raise spread layer "
    "sprinkle wipe integrate overlay peel strip wrap dress adorn relocate darken lighten brighten dim blur "
    "sharpen desaturate saturate tint dye dip stain coat frost drizzle drape lay lean stack pile arrange scatter "
    "surround frame revamp remodel refashion reimagine reinterpret restyle stylize rotate flip mirror turn tilt "
    "enlarge increase reduce shrink expand extend lengthen shorten widen resize scale crop cut trim shave pluck "
    "grow plant age light lift pick drop throw bend fold unfold open close shut empty evolve mutate metamorphose "
    "transfigure transmute reshape shape mold carve sculpt trade interchange upgrade fasten secure strap seat "
    "situate hide conceal mask display go only do keep reflect bathe smooth polish clean wash dirty flood freeze "
    "melt burn ignite illuminate reorient illustrate animate sketch tile paste stamp label name mark engrave etch "
    "emblazon embroider embellish style repaint reupholster refinish replenish supplement top bring convey lend "
    "invert blend merge imbue infuse drown submerge enclose cage confine sink step bump".split()
)
# About the image as a whole, or how something is done in it: nothing that a paraphrase must say as well.
GENERAL = frozenset(
    "image picture photo photograph pic scene visual shot hue shade tint style version appearance way kind type "
    "bit view existing current currently entire entirely completely fully instead new original part area side "
    "corner edge middle center centre top bottom front back next near beside adjacent close around along across "
    "behind above below beneath under over inside outside left right up down off out away located word text "
    "phrase letter lettering term caption setting atmosphere effect environment feel vibe impression illusion "
    "aesthetic "
    # praise
    "beautiful bold breathtaking captivating colorful colourful detailed dramatic elegant eye catching lively "
    "picturesque realistic scenic serene sleek striking stunning stylish subtle unique vibrant vivid visually "
    "whimsical".split()
)
STOP = frozenset(
    "a an the this that these those it its he she they them his her their him there here i you your my me we our "
    "us is are was were be been being am do does did has had having will shall may might must of in on at to from "
    "for with by as into onto and or but so if then than like just only also too very more most some any all each "
    "every one ones no not s t re ve ll d m which who what where when while such same other another own about "
    "between through upon within toward towards against".split()
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
    "dog canine", "cat feline", "sunglasses shades", "rock stone", "cartoon animation animated",
    "painting artwork", "street road", "night nighttime", "day daytime",
    "monitor display screen", "fluffy furry", "grin smile",
    "trash garbage rubbish", "large big",
    "little small", "shiny glossy", "tee tshirt", "ufo saucer", "hair haircut hairstyle", "lit light lighting",
)  # fmt: skip
OPPOSITES = tuple((frozenset(one.split()), frozenset(other.split())) for one, other in (
    ("left", "right"), ("top upper", "bottom lower"), ("above", "below under beneath underneath"),
    ("before", "after"), ("front", "behind back rear"), ("inside indoor indoors", "outside outdoor outdoors"),
    ("open opened", "close closed shut"), ("day daytime daylight", "night nighttime"), ("sunrise", "sunset"),
    ("big bigger large larger huge giant", "small smaller tiny little miniature"), ("more", "fewer less"),
    ("bright brighter", "dark darker"), ("old older elderly", "young younger"), ("long longer", "short shorter"),
    ("hot", "cold"), ("wet", "dry"), ("man men", "woman women"), ("boy boys", "girl girls"), ("happy", "sad"),
    ("summer", "winter"), ("first", "last"), ("full", "empty"),
    ("increase", "decrease reduce"), ("tall taller", "short shorter"),
))  # fmt: skip
SAME = {"leftmost": "left", "rightmost": "right", "photograph": "photo"}
# Where something is, in relation to something else.
RELATIONS = tuple(
    frozenset(words.split())
    for words in (
        "near nearby next beside besides adjacent alongside close vicinity by",
        "behind",
        "front before",
        "above over top atop upper",
        "below under beneath underneath",
        "between among amid",
        "inside into in within",
        "around surrounding",
    )
)
# These say a relation where the other text does, and alone may say something else.
AMBIGUOUS = frozenset("by over top upper into in within close before inside around surrounding".split())
EXCHANGE = re.compile(
    r"\b(?:replac|swap|chang|turn|convert|transform|switch|exchang|morph|mak)\w*\b(?P<old>.+?)"
    r"\b(?:with|by|to|into|for)\b(?P<new>.+)",
    re.IGNORECASE,
)
