from .align import align
from .comparison import compare
from .floors import constant_caption, leave_one_out
from .idf import DocumentFrequencies
from .meteor import MeteorError, MeteorUnavailable
from .no_change import NO_CHANGE_PHRASES, no_change_scores
from .scoring import score
from .tokenizer import tokenize

__all__ = [
    "NO_CHANGE_PHRASES",
    "DocumentFrequencies",
    "MeteorError",
    "MeteorUnavailable",
    "align",
    "compare",
    "constant_caption",
    "leave_one_out",
    "no_change_scores",
    "score",
    "tokenize",
]
