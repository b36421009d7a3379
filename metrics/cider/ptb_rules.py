"""The rules of [`tokenize`]: patterns for one token each. Words and characters are in `ptb_words.py`.

The patterns see a shadow of the text in which `é` stands for every letter beyond ASCII, `٠` for every such digit, a
combining accent for every such mark, `©` for every symbol that is a token and `\\x01` for all that is dropped.
"""

import re

from .ptb_words import (
    ABBREVIATIONS,
    CAPITALISED_ABBREVIATIONS,
    DIGIT,
    EXTENSIONS,
    LETTER,
    MARK,
    NOT_IN_CAPITALS,
    NUMBER_ABBREVIATIONS,
    QUOTED_WORDS,
    SENTENCE_STARTS,
    SPLIT_WORDS,
    STRAIGHT_QUOTED_WORDS,
    SYMBOL,
    TITLES,
)

_L = f"[A-Za-z{LETTER}]"
_D = f"[0-9{DIGIT}]"
_N = rf"{_D}\xad*"  # digit, perhaps with a soft hyphen
_LD = f"[A-Za-z0-9{LETTER}{DIGIT}]"
_W = f"[A-Za-z0-9{LETTER}{DIGIT}{MARK}]"  # word character
_S = r"[ \t\n\xa0]"
_CURLY = "(?:[’\x92]|(?-i:&apos;))"
_A = f"(?:'|{_CURLY})"  # apostrophe
_QUOTE = f"(?:[‘`‛\x91]|{_A})"  # what goes for one inside a word
_SUFFIX = "(?:s|d|m|ll|re|ve)"
# d'Artagnan and O'Brien; K'nex and shi'ite are other rules because no hyphen may follow them
_PART = rf"(?:[dlo]{_QUOTE}(?={_LD}{{2}}))?(?:[A-Za-z{LETTER}\xad][A-Za-z0-9{LETTER}{DIGIT}\xad]*|{_D}{_LD}*)"
_WORD = rf"{_PART}(?:[-_\u2010]{_PART})*"
_ACCENT = "&[aeiou](?:acute|grave|uml);"
_ACCENTED = rf"(?:[A-Za-z{LETTER}{MARK}]|{_ACCENT})(?:{_W}|{_ACCENT})*"
_HYPHENED = r"-(?:(?:[A-Za-z]\.){2,}|[A-Za-z0-9]+)"
# "U.S.-based", "1.5-inch", and a missing space: "dog,blue-eyed"
_LOOSE_WORD = rf"[A-Za-z0-9][A-Za-z0-9.,]*(?:{_HYPHENED})+"
_SLASH_PART = r"[0-9A-Za-z]+(?:-[A-Za-z]+){0,2}"
_SLASHED = rf"{_SLASH_PART}(?:\\?/{_SLASH_PART}){{1,2}}"
_JOINED = rf"{_ACCENTED}(?:[.!?]{_ACCENTED})+"  # "left.The": a missing space
_NUMBER = rf"[-+]?(?:\xad*(?:{_N})+(?:[.,:٫٬](?:{_N})+)*|(?:[.,:٫٬](?:{_N})+)+)"
_AMPERSAND = r"(?-i:[A-Z]+(?:(?:&(?i:amp;)?|\+)[A-Z]+)+)"
_FILE = rf"{_LD}+(?:\.{_LD}+)*\.(?:{'|'.join(sorted(EXTENSIONS, key=len, reverse=True))})(?={_S}|[.,?!])"
_URL = r"[^\s\"<>|(){}]"
_URL_END = r"[^\s\"<>|(){}.!?,-]"
_PATH = r"/[^\s\"<>|()]+[^\s\"<>|(){}.!?,-]"
_WWW = r"www\.(?:[^\s\"<>|.!?(){},]+\.)+[A-Za-z]{2,4}"
_DOMAIN = r"[^\s!\"$'(),-_`{|}]+"  # no capital and no digit either
_MAIL = r"[^\s\"<>|().{}\xa0]+"
_NAME = r"[A-Za-z][A-Za-z0-9_:.-]*"
_ATTRIBUTE = rf"""[ ]+{_NAME}(?:[ ]*=[ ]*(?:"[^"]*"|'[^']*'))?"""
_TAG = rf"(?:</{_NAME}[ ]*>|<{_NAME}(?:{_ATTRIBUTE})*[ ]*(?:/[ ]*)?>|<[!?][A-Za-z-][^>\n]*>)"


def _any_of(words):
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_MIXED = rf"(?!(?-i:{_any_of(NOT_IN_CAPITALS)})\.)"
# What may be one token with the chunk behind it, or be changed by it: numbers, tags, "plan B. The", ". . ."
OPEN = re.compile(rf"\d\)?$|<[A-Za-z/!?]|(?:^|\s)[A-Za-z]?\.$|(?:{'|'.join(NUMBER_ABBREVIATIONS)})\.$", re.IGNORECASE)
# What then has to follow. May find too much.
ACROSS_SPACES = re.compile(rf"[\d).]\s\d|<[A-Za-z/!?]|\. \. \.\d|[A-Za-z]\.\s+(?:{_any_of(SENTENCE_STARTS)})(?!\S)")


def _straight(token):
    """it’s -> it's"""
    return token.replace("&apos;", "'").translate(_STRAIGHT)


def _and(token):
    return re.sub("&amp;", "&", token, flags=re.IGNORECASE)


def _parentheses(token):
    return token.replace("(", "-lrb-").replace(")", "-rrb-")


def _quotes(token):
    """One or two that are not straight are one token, which mostly is on the list of punctuation."""
    token = token.translate(_STRAIGHT)
    return "" if token in ("``", "''", "`", "'") else token


def _unbroken(token):
    return token.replace(" ", "\xa0")


def _phone(token):
    return _unbroken(_parentheses(token))


def _nothing(token):
    return ""


_STRAIGHT = dict.fromkeys(map(ord, "‘‛‹\x91"), "`") | dict.fromkeys(map(ord, "’›\x92"), "'")
_STRAIGHT |= dict.fromkeys(map(ord, "“«\x93"), "``") | dict.fromkeys(map(ord, "”»\x94"), "''")
_PHONE_END = r"\d{3,4}[- \xa0]?\d{3,5}"

# Each rule: the characters it can start with (l letter, d digit, o other), its pattern, and what becomes of the token.
_PATTERNS = [
    # contractions
    ("lo", rf"(?P<token>[A-Za-z\xad]+(?<!n))(?=(?P<then>n{_QUOTE}t))", None),
    ("l", rf"(?P<token>n{_QUOTE}t)", _straight),
    *(("ldo", rf"(?P<token>{word})(?=(?P<then>{_A}{_SUFFIX}))", None) for word in (_WORD, _ACCENTED, _JOINED)),
    ("o", rf"(?P<token>'{_SUFFIX}(?![A-Za-z])|{_CURLY}{_SUFFIX})", _straight),
    *(("l", rf"(?P<token>{a})(?=(?P<then>{b}))(?!{b}{_W})", None) for a, b in SPLIT_WORDS),
    ("o", r"(?P<token>'t)(?=(?P<then>is|was))", None),
    ("l", rf"(?P<token>[dlj]{_A}|y{_A}(?={_L}))", None),
    ("lo", rf"(?P<token>(?:{_any_of(QUOTED_WORDS)}))".replace("'", _A), None),
    ("lo", rf"(?P<token>(?:{_any_of(STRAIGHT_QUOTED_WORDS)}))", None),
    ("o", rf"(?P<token>{_A}n{_A}|'n(?={_S})|{_CURLY}n)", None),
    ("l", rf"(?P<token>o{_QUOTE}o|{_L}+[aeiouy]{_QUOTE}(?-i:[aeiouA-Z]){_L}*)", None),
    ("l", rf"(?P<token>(?-i:[A-HJ-XZn]){_QUOTE}{_L}{{2,}})", None),
    ("o", rf"(?P<token>{_A}(?:[2-9]0s|\d\d(?={_S})))", None),
    # addresses and markup
    ("l", rf"(?P<token>https?://{_URL}+{_URL_END})", None),
    *(("l", rf"(?P<token>{_WWW}{path})", None) for path in ("", _PATH)),
    *(("ldo", rf"(?P<token>(?:(?-i:{_DOMAIN})\.)+(?:com|net|org|edu){path})", None) for path in ("", _PATH)),
    ("ldo", rf"(?P<token>(?:<|&lt;)?[A-Za-z0-9][^\s<>\"|(){{}}\xa0]*@{_MAIL}(?:\.{_MAIL})*>?)", None),
    ("o", rf"(?P<token>@[A-Za-z_][A-Za-z0-9_]*|\#(?:[A-Za-z{LETTER}{MARK}]|{_ACCENT})+)", None),
    ("o", rf"(?P<token>{_TAG})", _unbroken),
    ("o", r"(?P<token>&(?:amp|[lg]t);)", lambda token: {"a": "&", "l": "<", "g": ">"}[token[1].lower()]),
    ("o", r"(?P<token>&(?:nbsp|[nm]dash|md|(?-i:apos|quot));)", _nothing),
    ("o", r"(?P<token>&(?:\#\d+|apos|quot|ht|lr|q[clr]|tl|ur|[co]dq);)", None),
    # words
    ("ld", rf"(?P<token>{_SLASHED})", None),
    ("ld", rf"(?P<token>{_WORD})", None),
    ("l", r"(?P<token>(?:anti|pro)-)", None),
    ("lo", rf"(?P<token>{_ACCENTED})", None),
    *(
        ("ldo", rf"(?P<token>{word}\.)(?=[,:;])", _and)
        for word in (_WORD, _ACCENTED, _JOINED, _LOOSE_WORD, _AMPERSAND)
    ),
    ("lo", rf"(?P<token>{_JOINED})", None),
    ("l", rf"(?P<token>{_MIXED}(?:{_any_of(ABBREVIATIONS)})\.)(?=(?P<then>..))", None),
    ("l", rf"(?P<token>(?-i:(?=[A-Z]))(?:{_any_of(CAPITALISED_ABBREVIATIONS)})\.)(?=(?P<then>..))", None),
    ("ld", rf"(?P<token>{_LOOSE_WORD})", None),
    ("ld", rf"(?P<token>{_FILE})", None),
    ("l", rf"(?P<token>[A-Za-z])(?=(?P<then>\.{_S}+(?:(?-i:{_any_of(SENTENCE_STARTS)}){_S}|{_TAG})))", None),
    ("l", r"(?P<token>[A-Za-z]\.(?:[A-Za-z]\.)*)", None),
    ("l", rf"(?P<token>{_MIXED}(?:{_any_of(TITLES)})\.)", None),
    ("l", rf"(?P<token>(?:{_any_of(NUMBER_ABBREVIATIONS)})\.)(?={_S}?{_D})", None),
    ("l", rf"(?P<token>{_AMPERSAND})", _and),
    ("l", r"(?P<token>c\+\+|[cf]#)", None),
    # numbers
    ("do", rf"(?P<token>{_NUMBER})", None),
    ("d", r"(?P<token>\d{1,2}[-/]\d{1,2}[-/]\d{2,4})", None),
    ("d", r"(?P<token>\d{1,4}(?:[- \xa0]\d{1,4})?(?:\\?/|\u2044)\d{1,4})", _unbroken),
    ("do", rf"(?P<token>(?:\(\d{{2,3}}\)[ \xa0]?|\+?\d{{2,4}}[- \xa0](?:\d{{2,4}}[- \xa0])?){_PHONE_END})", _phone),
    ("o", r"(?P<token>[¼½¾⅓⅔])", {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}.get),
    ("o", r"(?P<token>[¢£¤€₠\x80])", lambda token: {"¢": "cents", "£": "#"}.get(token, "$")),
    ("l", r"(?-i:(?P<token>[A-Z]+\$))", None),
    # faces
    ("o", r"(?P<token>[<>]?[:;=](?-i:[-o*']?[()\[\]{@\\|DPOdp]))(?![A-Za-z0-9])", _parentheses),
    ("lo", r"(?-i:(?P<token>\([-^x~=<>'](?:[_.]|(?<!-)-(?!-))?[-^x~=<>']\)|[-^x~=<>']_[-^x~=<>']))", _parentheses),
    # symbols; quotes, dashes, dots and the like are dropped
    ("o", r"(?P<token>[`‘’‚‛“”„‟‹›«»\x91-\x94]{1,2})", _quotes),
    ("o", r"(?P<token>')(?=(?P<then>[A-Za-z]{2}))", _nothing),
    ("o", r"(?P<token>[!?]{2,}|-{5,}|(?:\\\*)+|\*+|\#+|@+|_+|<<?|>>?|[%$&+=^~|\\/\u2044])", None),
    ("o", r"(?P<token>\.{3,5}|\.(?:[ \xa0]\.){2,4}|-{1,4}|''|``|[.,:;!?\"'`])", _nothing),
    ("o", r"(?P<token>[⁺⁻]?[²³¹\u2070-\u2079]+|[₊₋]?[\u2080-\u2089]+|[⁺⁻₊₋])", None),
    ("o", rf"(?P<token>{SYMBOL})", None),
    ("o", r"(?P<token>-(?:[lr][rsc]b)-)", None),
]


def _rules(kind):
    return tuple(
        (
            re.compile(pattern, re.IGNORECASE | re.ASCII | re.DOTALL),
            rewrite,
            "then" if "<then>" in pattern else "token",
        )
        for kinds, pattern, rewrite in _PATTERNS
        if kind in kinds
    )


# By the kind of the first character: pattern, what becomes of the token, the group up to which its length counts.
LETTER_RULES, DIGIT_RULES, OTHER_RULES = _rules("l"), _rules("d"), _rules("o")
