"""How well a captioner knows that nothing changed."""

from .checks import check_captions, check_column
from .tokenizer import tokenize_all

# The distractor captions of CLEVR-Change and usual ways to say the same about photographs.
NO_CHANGE_PHRASES = (
    "no change",
    "no change has occurred",
    "no change was made",
    "no changes",
    "no changes were made",
    "no difference",
    "no differences",
    "nothing changed",
    "nothing has changed",
    "nothing was modified",
    "the images are identical",
    "the images are the same",
    "the scene is the same as before",
    "the scene remains the same",
    "the two images are identical",
    "the two scenes seem identical",
    "there are no changes",
    "there are no differences",
    "there is no change",
    "there is no difference",
)


def no_change_scores(predictions, references, phrases=NO_CHANGE_PHRASES, changed=None):
    """
    Precision, recall and F1 of "nothing changed" as a yes-or-no answer. A caption says so when its tokens are those of
    one of the phrases (so case and punctuation do not matter). An image is unchanged when `changed` says so, or,
    without that column, when at least one of its references is one of the phrases. No caption score depends on this.

    Args:
        predictions (`list[str]`): one caption for each of N images.
        references (`list[list[str]]`): the reference captions of each image.
        phrases (`list[str]`, *optional*, defaults to `NO_CHANGE_PHRASES`): captions that say that nothing changed.
        changed (`list[bool]`, *optional*): whether each image pair has a change.

    Returns:
        `dict`: `no_change_precision` (0.0 when no caption says it), `no_change_recall` (0.0 when no image is
        unchanged), `no_change_f1`, and the counts `no_change_predicted` and `no_change_true`.
    """
    check_captions(predictions, references)
    if isinstance(phrases, str) or not len(phrases):
        raise ValueError(f"no_change phrases is {phrases!r}; give a list of captions that say that nothing changed.")
    phrases = set(tokenize_all(list(phrases)))
    said = [caption in phrases for caption in tokenize_all(list(predictions))]
    if changed is None:
        true = [any(caption in phrases for caption in tokenize_all(list(refs))) for refs in references]
    else:
        check_column(changed, "no_change changed", len(predictions), bool)
        true = [not value for value in changed]
    hits = sum(a and b for a, b in zip(said, true, strict=True))
    precision = hits / sum(said) if any(said) else 0.0
    recall = hits / sum(true) if any(true) else 0.0
    return {
        "no_change_precision": precision,
        "no_change_recall": recall,
        "no_change_f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "no_change_predicted": sum(said),
        "no_change_true": sum(true),
    }
