"""The rules of [`tokenize`]: patterns for one token each. Word lists are in `ptb_words.py`."""

import re

from .ptb_words import (
    ABBREVIATIONS,
    CAPITALISED_ABBREVIATIONS,
    NUMBER_ABBREVIATIONS,
    QUOTED_WORDS,
    SPLIT_WORDS,
    TITLES,
)

# Letters and decimal digits of the basic plane; superscripts and number forms are symbols.
_NOT = (
    r"\W_\xb2\xb3\xb9\xbc-\xbe\u2070-\u2089\u2150-\u2189"
    r"\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\U00010000-\U0010ffff"
)
_W = rf"(?:[^{_NOT}]|[\u0300-\u036f])"  # word character
_L = rf"[^{_NOT}\d]"  # letter
_A = r"['’\x92]"  # apostrophe
_QUOTE = r"['’‘`\x91\x92]"  # what goes for one inside a word
_END = r"(?![A-Za-z])"
_ENDINGS = rf"(?:s|d|m|ll|re|ve){_END}"
_SUFFIX = rf"(?:'{_ENDINGS}|[’\x92](?:s|d|m|ll|re|ve))"
# d'Artagnan, O'Brien, K'nex; shi'ite is another rule because no hyphen may follow it
_PART = rf"(?:(?-i:[A-HJ-XZdlno])(?!{_A}{_ENDINGS}){_QUOTE}(?={_L}{_L}))?{_W}+"
_WORD = rf"{_PART}(?:[-_\u2010\u2011]{_PART})*"
_LOOSE_WORD = rf"{_W}(?:{_W}|[.,])*(?:-{_PART})+"  # "U.S.-based", "1.5-inch", and a missing space: "dog,blue-eyed"
_SLASH_PART = r"[0-9A-Za-z]+(?:-[A-Za-z]+){0,2}"
_SLASHED = rf"{_SLASH_PART}(?:/{_SLASH_PART}){{1,2}}"
_JOINED = rf"{_L}{_W}*(?:[.!?]{_L}{_W}*)+"  # "img.png", and a missing space: "left.The"
_NUMBER = r"[-+]?(?:\d+(?:[.,:]\d+)*|(?:[.,:]\d+)+)"
_AMPERSAND = r"[A-Z]+(?:[&+][A-Z]+)+"
_URL = r"[^\s\"<>|(){}]"
_URL_END = r"[^\s\"<>|(){}.!?,-]"
_HOST = rf"(?:www\.(?:[\w-]+\.)+[A-Za-z]{{2,4}}|(?:[^\W\d_][^\W_]*\.)+(?:com|net|org|edu))(?!{_W})"
_NAME = r"[A-Za-z][\w:.-]*"
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s<>"']+)"""

_SYMBOL = (
    r"[\xa1\xa5-\xaa\xac-\xbf×÷\u2016\u2017\u201a\u201e-\u2023\u2030-\u2038\u203b\u203e-\u2042\u2044"
    r"\u2070-\u208e\u2100-\u214f\u2155-\u215e\u2190-\u2bff\u3001\u3002\u3012\u30fb\uff01-\uff65]"
)
_DOUBLE_QUOTES = {0x201C: "``", 0x93: "``", 0x201D: "''", 0x94: "''"}

ENTITIES = {
    "&amp;": "&",
    "&apos;": "'",
    "&quot;": '"',
    "&nbsp;": " ",
    "&ndash;": "–",
    "&mdash;": "—",
}
# What can be one token, or change a token, across a space.
ACROSS_SPACES = re.compile(r"[\d).][ \t\xa0]\d|<[A-Za-z/!?]")


def _any_of(words):
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def _straight(token):
    """it’s -> it's"""
    return re.sub("[’\x92]", "'", token)


def _parentheses(token):
    return token.replace("(", "-lrb-").replace(")", "-rrb-")


def _two_quotes(token):
    """Two curly quotes are one token, which is on the list of punctuation only if both are single."""
    token = token.translate({0x2018: "`", 0x91: "`", 0x2019: "'", 0x92: "'"} | _DOUBLE_QUOTES)
    return "" if token in ("``", "''") else token


def _unbroken(token):
    return token.replace(" ", "\xa0")


def _phone(token):
    return _unbroken(_parentheses(token))


def _nothing(token):
    return ""


# Each rule: the characters it can start with (l letter, d digit, o other), its pattern, and what becomes of the token.
_PATTERNS = [
    # contractions
    ("l", rf"(?P<token>{_L}+(?<!n))(?=(?P<then>n['’\x92`]t))", None),
    ("l", r"(?P<token>n['’\x92`]t)", _straight),
    ("o", rf"(?P<token>{_SUFFIX})", _straight),
    *(("l", rf"(?P<token>{a})(?=(?P<then>{b}))(?!{b}(?:{_W}|{_A}\w))", None) for a, b in SPLIT_WORDS),
    ("o", r"(?P<token>'t)(?=(?P<then>is|was))", None),
    ("l", rf"(?P<token>(?:[dlj]|y(?={_A}{_L}))(?!{_SUFFIX}){_A})", None),
    ("lo", rf"(?P<token>(?:{_any_of(QUOTED_WORDS)}))".replace("'", _A), None),
    ("o", rf"(?P<token>{_A}n{_A}|'n(?=\s|$)|[’\x92]n)", None),
    ("l", rf"(?P<token>{_L}+[aeiouy](?!{_SUFFIX})(?:{_QUOTE}[aeiou]{_L}*|(?-i:{_QUOTE}[A-Z]){_L}+))", None),
    ("o", rf"(?P<token>{_A}(?:\d0s|\d\d(?=\s|$)))", None),
    # words
    ("ld", rf"(?P<token>{_SLASHED})", None),
    ("ld", rf"(?P<token>{_WORD})", None),
    ("ld", rf"(?P<token>{_LOOSE_WORD})", None),
    ("ld", rf"(?P<token>(?:{_WORD}|{_JOINED}|{_AMPERSAND})\.)(?=[,:;])", None),
    ("l", rf"(?P<token>(?:{_any_of(ABBREVIATIONS)})\.)(?=(?P<then>{_L}?(?!{_W})))", None),
    ("l", rf"(?P<token>{_JOINED})", None),
    ("l", rf"(?P<token>[A-Za-z]\.(?:[A-Za-z]\.)*(?:[A-Za-z](?!{_W}))?)", None),
    ("l", rf"(?P<token>(?:{_any_of(TITLES)})\.)", None),
    ("l", rf"(?=(?-i:[A-Z]))(?P<token>(?:{_any_of(CAPITALISED_ABBREVIATIONS)})\.)", None),
    ("l", rf"(?P<token>(?:{_any_of(NUMBER_ABBREVIATIONS)})\.)(?=\s?\d)", None),
    ("l", rf"(?-i:(?P<token>{_AMPERSAND}))", None),
    ("l", r"(?P<token>c\+\+|[cf]#)", None),
    # numbers
    ("do", rf"(?P<token>{_NUMBER})", None),
    ("d", r"(?P<token>\d+(?:\.\d+)*(?:\.x)+)(?=[\s.,]|$)", None),
    ("d", r"(?P<token>\d+[- \xa0]\d+/\d+)", _unbroken),
    ("do", r"(?P<token>(?:\(\d{2,3}\) ?|\d{2,3}[- \xa0])\d{3,4}[- \xa0]?\d{3,5})", _phone),
    ("o", r"(?P<token>[¼½¾⅓⅔])", {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}.get),
    ("o", r"(?P<token>[¢£¤€₠\x80])", lambda token: {"¢": "cents", "£": "#"}.get(token, "$")),
    ("l", r"(?-i:(?P<token>[A-Z]{1,3}\$))", None),
    # addresses and markup
    ("l", rf"(?P<token>https?://{_URL}+{_URL_END})", None),
    ("l", rf"(?P<token>{_HOST}(?:/{_URL}+{_URL_END})?)", None),
    ("ldo", rf"(?P<token><?{_W}[^\s<>\"|()@]*@[^\s<>\"|().]+(?:\.[^\s<>\"|().]+)*>?)", None),
    ("o", rf"(?P<token>@{_L}(?:{_W}|_)*|\#{_L}+)", None),
    ("o", rf"(?P<token></?{_NAME}(?:\s+{_NAME}(?:\s*=\s*{_VALUE})?)*\s*/?>|<[!?][^>]*>)", _unbroken),
    ("o", r"(?P<token>&[lg]t;)", {"&lt;": "<", "&gt;": ">"}.get),
    ("o", r"(?P<token>&(?:#\d+|[aceinouy](?:acute|cedil|circ|grave|tilde|uml));)", None),
    # faces
    ("o", r"(?P<token>[<>]?[:;=][-o*']?(?-i:[()\[\]{@\\|DPOdp]))(?!\w)", _parentheses),
    ("o", r"(?P<token>\((?-i:[-^x~=<>'][-_.]?[-^x~=<>'])\)|[-^~=<>']_[-^~=<>'])", _parentheses),
    # symbols; quotes, dashes, dots and the like are dropped
    ("o", r"(?P<token>[‘’“”\x91-\x94`]{2})", _two_quotes),
    ("o", r"(?P<token>['‘`‛‹\x91])(?=(?P<then>[A-Za-z]{2}))", _nothing),
    ("o", r"(?P<token>[!?]{2,}|-{5,}|\\\*|\*+|\#+|@+|_+|<<?|>>?|[%$&+=^~|\\/])", None),
    ("o", r"(?P<token>\.{3,}|-{1,4}|''|``|[.,:;!?\"'`])", _nothing),
    ("o", r"(?P<token>[«»])", _nothing),
    ("o", rf"(?P<token>{_SYMBOL})", None),
]


def _rules(kind):
    return tuple(
        (re.compile(pattern, re.IGNORECASE), rewrite, "then" if "<then>" in pattern else "token")
        for kinds, pattern, rewrite in _PATTERNS
        if kind in kinds
    )


# By the kind of the first character: pattern, what becomes of the token, the group up to which its length counts.
LETTER_RULES, DIGIT_RULES, OTHER_RULES = _rules("l"), _rules("d"), _rules("o")
