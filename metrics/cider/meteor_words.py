"""
What the jar's `-norm` does to ordinary captions: words, punctuation inside and between them, a few abbreviations.

It takes a third of the jar's time, so the jar is run without it where all captions are ordinary. What is ordinary was
found by comparing what goes in with what comes out: more than these rules describe is left to the jar.
"""

import re

_LETTER = "a-zà-öø-ÿ"
PLAIN = re.compile("[a-z0-9 ]*")
_ORDINARY = re.compile(
    rf"""(?:
        (?:
            (?: (?! -- | '[^ ]*' | '\ ' | [0-9]' ) [{_LETTER}0-9*/:_!?%&$\#+=<>'♀♂★☆♥-] )+
            | (?:[a-z]\.){{2,}}                     # u.s.
            | (?! (?:vs?|rev|pp)\. ) [a-z]+\.       # st.
            | [a-z]+ (?:\.[a-z]+)+                  # example.com
            | \.?[0-9]+ (?:[,.][0-9]+)+             # 20,000
            | \.[0-9]+                              # .5
        )
        (?:\ |$)
    )*""",
    re.VERBOSE,
)
_SYMBOL = re.compile(rf"([^{_LETTER}0-9 .,'-])")
_HYPHEN = re.compile(rf"([{_LETTER}0-9])-([{_LETTER}0-9])")
_APOSTROPHE = re.compile(rf"(?<![{_LETTER}])'|'(?![{_LETTER}])")
_CONTRACTION = re.compile(rf"(?<=[{_LETTER}])'(?=[{_LETTER}])")
_PERIOD = re.compile(r"(?:(?<= )|^)([a-z]+)\.(?= [^a-z]|$)")
_ACRONYM = re.compile(r"(?:(?<= )|^)(?:[a-z]\.){2,}(?= |$)")


def normalise_all(captions):
    """What `-norm` makes of captions (`list[str]`), but for the number of spaces; `None` if one is not ordinary."""
    normalised = []
    for caption in captions:
        if (caption := normalise(caption)) is None:
            return None
        normalised.append(caption)
    return normalised


def normalise(caption):
    """What `-norm` makes of a caption, tokens with spaces between them; `None` if it is not ordinary."""
    if PLAIN.fullmatch(caption):
        return caption
    if not _ORDINARY.fullmatch(caption):
        return None
    caption = _PERIOD.sub(r"\1 .", caption)  # but not in "st. peter"
    caption = _SYMBOL.sub(r" \1 ", caption)
    caption = _HYPHEN.sub(r"\1 \2", caption)  # "a-b-c" becomes "a b-c", there as here
    caption = _APOSTROPHE.sub(" ' ", caption)
    caption = _CONTRACTION.sub(" '", caption)
    return _ACRONYM.sub(lambda match: match[0].replace(".", ""), caption)
