"""Every wrong input is one error that names the row; nothing is guessed, nothing is dropped."""

from collections.abc import Sequence


def check_captions(predictions, references):
    """
    Raises:
        `ValueError`: empty corpus, lists of different length, an image without references, a lone surrogate.
        `TypeError`: anything but a string where a caption belongs, a string where a list of captions belongs.
    """
    for name, rows in (("predictions", predictions), ("references", references)):
        _check_list(rows, name, "one entry for each image")
    if len(predictions) != len(references):
        raise ValueError(
            f"predictions has {len(predictions)} rows and references has {len(references)}; each image needs one "
            "prediction and one list of references, in the same order."
        )
    if not len(predictions):
        raise ValueError("predictions and references are empty: there is nothing to score.")
    for row, (prediction, refs) in enumerate(zip(predictions, references, strict=True)):
        check_caption(prediction, "predictions", row)
        _check_list(refs, f"references[{row}]", "the list of this image's reference captions")
        if not len(refs):
            raise ValueError(f"references[{row}] is empty: an image without references has no score.")
        for number, reference in enumerate(refs):
            check_caption(reference, "references", row, number)


def check_caption(caption, name, *place):
    if isinstance(caption, str) and caption.isascii():
        return
    where = name + "".join(f"[{number}]" for number in place)
    if not isinstance(caption, str):
        hint = " A missing caption is the empty string, which scores 0." if caption is None else ""
        raise TypeError(f"{where} is {_describe(caption)}, not a string.{hint}")
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where} has a lone surrogate {caption[error.start]!a} at character {error.start}, which is no text; "
            "decode the file as UTF-8, or replace it."
        ) from None


def check_column(values, name, rows, kind):
    """Checks a list of `rows` values that are all of the type `kind`."""
    _check_list(values, name, "one entry for each image")
    if len(values) != rows:
        raise ValueError(f"{name} has {len(values)} rows and predictions has {rows}; give one for each image.")
    for row, value in enumerate(values):
        if not isinstance(value, kind):
            raise TypeError(f"{name}[{row}] is {_describe(value)}, not a {kind.__name__}.")


def _check_list(rows, name, meaning):
    if isinstance(rows, (str, bytes)) or not isinstance(rows, Sequence):
        raise TypeError(f"{name} is {_describe(rows)}; give a list: {meaning}.")


def _describe(value):
    return "None" if value is None else f"{value!r:.60} ({type(value).__name__})"
