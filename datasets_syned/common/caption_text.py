"""What captions say in place of a difference: that nothing changed, a language model's remarks, a quotation."""

import re

QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "``": "''", "'": "'", "‘": "’"}
# Whatever a language model says instead of a caption. People do write "i cannot find any difference".
BOILERPLATE = re.compile(
    r"\blanguage model\b|\b(?:as|just) an? (?:[\w,-]+ ){0,4}ai\b"
    r"|\bI (?:cannot|can['’]t|can not|am (?:not able|unable) to|apologi[sz]e)\b"
    r"(?! (?:find|see|spot|locate|notice|tell|detect)\b)"
    r"|^\W*instead, I (?:suggest|would)\b|\b(?:happy|glad) to (?:help|assist)\b"
    r"|\bfeel free to ask\b|\bI hope you understand\b|\bplease note that I\b"
    r"|^\W*(?:sure|certainly|of course)\b\W*[,!:]"
    r"|^\W*here (?:are|is)\b.*(?::|\b(?:variations?|versions?|options?|captions?|descriptions?|prompts?|sentences?)\b)"
    r"|\{[^{}]*\}|<INSTRUCT>|\[/?INST(?:RUCT)?\]|\buser prompt\b",
    re.IGNORECASE | re.DOTALL,
)


def is_quoted(caption: str) -> bool:
    """Whether a caption stands in quotes, or in one that is never closed: `"A car left."`, `"A car`."""
    caption = caption.strip()
    for opening, closing in QUOTES.items():
        if caption.startswith(opening) and len(caption) > len(opening):
            inside = caption[len(opening) :].rstrip(".,;")
            if opening in "'‘":  # also an apostrophe
                return inside.endswith(closing) and closing not in inside[:-1]
            return closing not in inside.removesuffix(closing)
    return False


# The only words of a caption that says that nothing changed: none of them can name what did.
UNCHANGED_WORDS = frozenset(
    """
    a about above after all and any anything apparent appear appeared appears are as at be been before between both can
    cannot change changed changes could detect discernable discernible do does either everything exact exactly exist
    find found from given has have here i identical image images in is it left locate look looks made modified no not
    notable noted noticable noticeable nothing notice observe observed obvious occurred of on one photo photographs
    photos picture pictures remain remains right same scene scenes second see seem seems show shows shot shots spot
    spotted taken that the them there these they this to two unchanged visible was were with within 2
    """.split()
)
NOTHING = re.compile(r"\b(?:no|not|nothing|cannot)\b.*\b(?:diff|change|modif)|\b(?:same|identical|unchanged)\b")
NOT_THE_SAME = re.compile(r"\bnot (?:\w+ ){0,2}(?:same|identical|unchanged)\b")


def says_no_change(text: str) -> bool:
    """
    Whether a caption, or the name of a category, says that nothing changed: "There are no differences.", "no_change".

    It has to consist of words that name no object, so "no difference but for the red car" does not say it.
    """
    words = re.findall(r"[a-z0-9]+", text.lower().replace("n't", " not"))
    said = " ".join(words)
    if said in ("none", "nochange"):
        return True
    if not NOTHING.search(said) or NOT_THE_SAME.search(said):
        return False
    return all(word in UNCHANGED_WORDS or word.startswith("diff") for word in words)
