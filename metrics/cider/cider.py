"""The `evaluate` module: `evaluate.load("metrics/cider")`. All work is done in `scoring.py`."""

import datasets
import evaluate

# `evaluate` copies the files that these lines name and no others; it reads them with a regular expression that knows
# neither parentheses nor comments behind the import.
from .align import align
from .checks import check_captions
from .comparison import compare
from .floors import constant_caption, leave_one_out
from .idf import DocumentFrequencies
from .meteor import MeteorError, MeteorUnavailable
from .meteor_jar import MeteorProcess
from .meteor_lock import MachineLock
from .meteor_table import filter_table
from .meteor_warm import close
from .meteor_words import normalise_all
from .ngrams import Corpus
from .no_change import no_change_scores
from .ptb_rules import OPEN
from .ptb_words import ABBREVIATIONS
from .scorers import cider_and_bleu
from .scoring import score
from .tallies import tally
from .tokenizer import tokenize

__all__ = [
    "ABBREVIATIONS",
    "OPEN",
    "Cider",
    "Corpus",
    "DocumentFrequencies",
    "MachineLock",
    "MeteorError",
    "MeteorProcess",
    "MeteorUnavailable",
    "align",
    "check_captions",
    "cider_and_bleu",
    "close",
    "compare",
    "constant_caption",
    "filter_table",
    "leave_one_out",
    "no_change_scores",
    "normalise_all",
    "score",
    "tally",
    "tokenize",
]

_DESCRIPTION = """
CIDEr-D, BLEU-1 to BLEU-4 and ROUGE-L of image captions with the numbers of pycocoevalcap, without Java: its tokenizer
and its scorers, vectorised; METEOR through its jar. Also per sample and per category, with intervals, paired tests,
floors, document frequencies of other corpora, and precision and recall of "nothing changed".
"""

_CITATION = """
@inproceedings{vedantam2015cider,
  title={{CIDEr}: Consensus-based Image Description Evaluation},
  author={Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
  booktitle={CVPR},
  year={2015}
}
"""

_FEATURES = datasets.Features(
    {
        "predictions": datasets.Value("string"),
        "references": datasets.Sequence(datasets.Value("string")),
    }
)


class Cider(evaluate.Metric):
    """
    CIDEr-D and its companions as an `evaluate` metric; arguments and result are those of [`score`]. The functions
    beside it come along: `metric.compare`, `metric.constant_caption`, `metric.leave_one_out`, `metric.align`,
    `metric.tokenize`, `metric.DocumentFrequencies`.
    """

    align = staticmethod(align)
    compare = staticmethod(compare)
    constant_caption = staticmethod(constant_caption)
    leave_one_out = staticmethod(leave_one_out)
    tokenize = staticmethod(tokenize)
    DocumentFrequencies = DocumentFrequencies
    MeteorUnavailable = MeteorUnavailable

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=score.__doc__,
            features=_FEATURES,
        )

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Adds rows; checks them here because pyarrow turns numbers into strings."""
        check_captions(predictions, references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction=None, reference=None, **kwargs):
        """Adds one row."""
        check_captions([prediction], [reference])
        super().add(prediction=prediction, reference=reference, **kwargs)

    def _compute(self, predictions, references, **kwargs):
        return score(predictions, references, **kwargs)
