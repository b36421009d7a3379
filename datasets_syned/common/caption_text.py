"""What no caption is: a language model's remarks, and a sentence in quotation marks."""

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
