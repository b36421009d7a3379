"""The rules of [`tokenize`]: patterns for one token each. Word lists are in `ptb_words.py`."""

import re

from .ptb_words import ABBREVIATIONS, CAPITALISED_ABBREVIATIONS, NUMBER_ABBREVIATIONS, QUOTED_WORDS, SPLIT_WORDS

# Letters and decimal digits of the basic plane; superscripts and number forms are symbols.
_NOT = (
    r"\W_\xb2\xb3\xb9\xbc-\xbe\u2070-\u2089\u2150-\u2189"
    r"\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\U00010000-\U0010ffff"
)
_W = rf"(?:[^{_NOT}]|[\u0300-\u036f])"  # word character
_L = rf"[^{_NOT}\d]"  # letter
_A = r"['’\x92]"  # apostrophe
_END = rf"(?!{_W})"
# d'Artagnan, O'Brien, K'nex; shi'ite is another rule because no hyphen may follow it
_PART = rf"(?:(?-i:[A-HJ-XZdlno]){_A}(?={_W}{_W}))?{_W}+"
_WORD = rf"{_PART}(?:[-_\u2010\u2011]{_PART})*"
_SLASH_PART = rf"{_W}+(?:-{_L}{_W}*)*"
_SLASHED = rf"{_SLASH_PART}(?:/{_SLASH_PART}){{1,2}}"
_NUMBER = r"[-+]?(?:\d+(?:[.,:]\d+)*|(?:[.,:]\d+)+)"
_AMPERSAND = r"[A-Z]+(?:&[A-Z]+)+"
_NAME = r"[A-Za-z][\w:.-]*"
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s<>"']+)"""

ENTITIES = {
    "&amp;": "&",
    "&apos;": "'",
    "&quot;": '"',
    "&nbsp;": " ",
    "&ndash;": "–",
    "&mdash;": "—",
}
# A soft hyphen joins; what follows an emoji goes with it.
INVISIBLE = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\U0001f000-\U0010ffff]")
# What can be one token, or change a token, across a space.
ACROSS_SPACES = re.compile(r"\d[)]?[ \xa0][\d]|(?i:\b(?:" + "|".join(NUMBER_ABBREVIATIONS) + r")\. \d)|<[A-Za-z/!?]")


def _any_of(words):
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def _straight(token):
    """it’s -> it's"""
    return re.sub("[’\x92]", "'", token)


def _parentheses(token):
    return token.replace("(", "-lrb-").replace(")", "-rrb-")


def _phone(token):
    return _parentheses(token).replace(" ", "\xa0")


def _nothing(token):
    return ""


_PATTERNS = [
    # contractions
    (rf"(?P<token>{_L}+)(?=(?P<then>n['’\x92`]t))", None),
    (r"(?P<token>n['’\x92`]t)", _straight),
    (rf"(?P<token>{_A}(?:s|d|m|ll|re|ve)){_END}", _straight),
    *(
        (rf"(?P<token>{first})(?=(?P<then>{second}))(?!{first}{second}{_A}?{_W})", None)
        for first, second in SPLIT_WORDS
    ),
    (r"(?P<token>'t)(?=(?P<then>is|was))", None),
    (rf"(?P<token>[dljy]{_A})", None),
    (rf"(?P<token>(?:{_any_of(QUOTED_WORDS)}))".replace("'", _A), None),
    (rf"(?P<token>{_A}n(?:{_A}|{_END}))", None),
    (rf"(?P<token>{_L}+[aeiouy](?!{_A}(?:s|d|m|ll|re|ve){_END})(?:{_A}[aeiou]{_L}*|(?-i:{_A}[A-Z]){_L}+))", None),
    (rf"(?P<token>{_A}(?:\d\d|\d0s))(?!{_W}|{_A})", None),
    # words
    (rf"(?P<token>{_SLASHED}|{_WORD})", None),
    (rf"(?P<token>(?:{_SLASHED}|{_WORD}|{_NUMBER}|{_AMPERSAND})\.)(?=[,:;])", None),
    (rf"(?P<token>{_L}{_W}*(?:[.!?]{_L}{_W}*)+)", None),
    (rf"(?P<token>{_L}\.(?:{_L}\.)*(?:{_L}{_END})?(?:-{_PART})*)", None),
    (rf"(?P<token>(?:{_any_of(ABBREVIATIONS)})\.)", None),
    (rf"(?P<token>(?-i:{_any_of(CAPITALISED_ABBREVIATIONS)})\.)", None),
    (rf"(?P<token>(?:{_any_of(NUMBER_ABBREVIATIONS)})\.)(?= ?\d)", None),
    (rf"(?-i:(?P<token>{_AMPERSAND}))", None),
    (r"(?P<token>c\+\+|[cf]#)", None),
    # numbers
    (rf"(?P<token>{_NUMBER})", None),
    (r"(?P<token>\d+[- \xa0]\d+/\d+)", lambda token: token.replace(" ", "\xa0")),
    (r"(?P<token>(?:\(\d{2,3}\) ?|\d{2,3}[- \xa0])\d{3,4}[- \xa0]?\d{3,5})", _phone),
    (r"(?P<token>[¼½¾⅓⅔])", {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}.get),
    (r"(?P<token>[¢£¤€₠\x80])", lambda token: {"¢": "cents", "£": "#"}.get(token, "$")),
    (r"(?-i:(?P<token>[A-Z]{1,3}\$))", None),
    # addresses and markup
    (r"(?P<token>(?:https?://|www\.)[^\s<>\"'|()\[\]{}.,;:!?]+(?:[.,;:!?]+[^\s<>\"'|()\[\]{}.,;:!?]+)*)", None),
    (rf"(?P<token>{_W}[^\s<>\"|()@]*@[^\s<>\"|().]+(?:\.[^\s<>\"|().]+)*)", None),
    (rf"(?P<token>@{_L}(?:{_W}|_)*|\#{_L}+)", None),
    (rf"(?P<token></?{_NAME}(?:\s+{_NAME}(?:\s*=\s*{_VALUE})?)*\s*/?>|<[!?][^>]*>)", lambda t: t.replace(" ", "\xa0")),
    (r"(?P<token>&[lg]t;)", {"&lt;": "<", "&gt;": ">"}.get),
    # faces
    (rf"(?P<token>[<>]?[:;=][-o*']?(?:[()\[\]{{}}@\\|]|[DPO]{_END}))", _parentheses),
    (r"(?P<token>[-^~=<']_[-^~=<>'])", None),
    # symbols; quotes, dashes, dots and the like are dropped
    (rf"(?P<token>['‘’`‛‹\x91])(?=(?P<then>{_L}{_L}))", _nothing),
    (r"(?P<token>[!?]{2,}|-{5,}|\*+|\#+|@+|_+|<<?|>>?|[%$&+=^~|\\/]|\\\*)", None),
    (r"(?P<token>\.{2,}|-{1,4}|''|``|[.,:;!?\"'`])", _nothing),
    (r"(?P<token>[\xa1\xa5-\xaa\xac-\xbf×÷\u2016\u2017\u201a\u201e-\u2023\u2030-\u2038\u203b\u203e-\u2042\u2044]"
     r"|[\u2070-\u208e\u2100-\u214f\u2155-\u215e\u2190-\u2bff\u3001\u3002\u3012\u30fb\uff01-\uff65])",
     lambda token: "" if token in "«»" else token),
]  # fmt: skip
# Each with the group up to which its length counts.
RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), rewrite, "then" if "<then>" in pattern else "token")
    for pattern, rewrite in _PATTERNS
)
