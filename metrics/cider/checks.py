"""Every wrong input is one error that names the row; nothing is guessed, nothing is dropped."""

from collections.abc import Sequence


def check_captions(predictions, references):
    """
    Raises:
        `ValueError`: empty corpus, lists of different length, an image without references, a lone surrogate.
        `TypeError`: anything but a string where a caption belongs, a string where a list of captions belongs.
    """
    check_list(predictions, "predictions")
    check_list(references, "references")
    if len(predictions) != len(references):
        raise ValueError(
            f"predictions has {len(predictions)} rows and references has {len(references)}; each image needs one "
            "prediction and one list of references, in the same order."
        )
    if not len(predictions):
        raise ValueError("predictions and references are empty: there is nothing to score.")
    for row, prediction in enumerate(predictions):
        check_caption(prediction, "predictions", row)
    check_references(references)


def check_references(references):
    """
    Raises:
        `ValueError`: no images, an image without references, a lone surrogate.
        `TypeError`: anything but a string where a caption belongs, a string where a list of captions belongs.
    """
    check_list(references, "references")
    if not len(references):
        raise ValueError("references is empty: there is nothing to score.")
    for row, refs in enumerate(references):
        check_list(refs, f"references[{row}]", "the list of this image's reference captions")
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
        raise TypeError(f"{where} is {describe(caption)}, not a string.{hint}")
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where} has a lone surrogate {caption[error.start]!a} at character {error.start}, which is no text; "
            "decode the file as UTF-8, or replace it."
        ) from None


def check_column(values, name, rows, kind):
    """Checks a list of `rows` values that are all of the type `kind`."""
    check_list(values, name)
    if len(values) != rows:
        raise ValueError(f"{name} has {len(values)} rows and predictions has {rows}; give one for each image.")
    for row, value in enumerate(values):
        if not isinstance(value, kind):
            raise TypeError(f"{name}[{row}] is {describe(value)}, not a {kind.__name__}.")


def check_ids(ids, rows):
    """Checks that no image is there twice: two records of one image are one image with the references of both."""
    check_list(ids, "ids")
    if len(ids) != rows:
        raise ValueError(f"ids has {len(ids)} rows and predictions has {rows}; give one for each image.")
    rows_of = {}
    for row, name in enumerate(ids):
        if rows_of.setdefault(name, row) != row:
            raise ValueError(
                f"ids[{rows_of[name]}] and ids[{row}] are both {name!r}; put the references of an image into one row."
            )


def check_list(rows, name, meaning="one entry for each image"):
    if isinstance(rows, (str, bytes)) or not isinstance(rows, Sequence):
        raise TypeError(f"{name} is {describe(rows)}; give a list: {meaning}.")


def describe(value):
    return "None" if value is None else f"{value!r:.60} ({type(value).__name__})"
