from .no_change import NO_CHANGE_PHRASES, no_change_scores
from .scoring import score
from .tokenizer import tokenize

__all__ = ["NO_CHANGE_PHRASES", "no_change_scores", "score", "tokenize"]
