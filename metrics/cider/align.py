"""Predictions and references that come in files: matched by the id of the image, never by their order."""

from collections.abc import Mapping

from .checks import check_list, describe


def align(predictions, references):
    """
    Puts captions that belong to the same image side by side.

    Args:
        predictions (`dict` or `list[dict]`): `{id: caption}`, or records `{"image_id": …, "caption": …}` as COCO's
            results files have them.
        references (`dict` or `list[dict]`): `{id: [captions]}`; or one record `{"image_id": …, "caption": …}` for each
            reference, alone or under `"annotations"` as COCO's annotation files have them.

    Returns:
        `tuple[list, list[str], list[list[str]]]`: ids, predictions and references, in the order of the references.

    Raises:
        `ValueError`: an image has two predictions; images have only predictions or only references.
        `TypeError`, `KeyError`: a row is no such record.

    Example:

        >>> from metrics.cider import align
        >>> align({"b": "a dog left", "a": "no change"}, {"a": ["nothing changed"], "b": ["the dog is gone"]})
        (['a', 'b'], ['no change', 'a dog left'], [['nothing changed'], ['the dog is gone']])
    """
    if not isinstance(predictions, Mapping):
        rows, predictions = predictions, {}
        for row, (name, caption) in enumerate(_records(rows, "predictions")):
            if name in predictions:
                raise ValueError(f"predictions[{row}] is a second caption of image {name!r}; give one for each image.")
            predictions[name] = caption
    if isinstance(references, Mapping) and "annotations" in references:
        references = references["annotations"]
    if not isinstance(references, Mapping):
        rows, references = references, {}
        for name, caption in _records(rows, "references"):
            references.setdefault(name, []).append(caption)
    for missing, what, where in (
        ([name for name in references if name not in predictions], "prediction", "references"),
        ([name for name in predictions if name not in references], "reference", "predictions"),
    ):
        if missing:
            shown = ", ".join(map(repr, missing[:5])) + (", …" if len(missing) > 5 else "")
            raise ValueError(f"{len(missing)} images of {where} have no {what}: {shown}")
    ids = list(references)
    return ids, [predictions[name] for name in ids], [references[name] for name in ids]


def _records(rows, name):
    check_list(rows, name, "records with image_id and caption")
    for row, record in enumerate(rows):
        if not isinstance(record, Mapping):
            raise TypeError(f"{name}[{row}] is {describe(record)}, not a record with image_id and caption.")
        missing = {"image_id", "caption"} - record.keys()
        if missing:
            raise KeyError(f"{name}[{row}] has no {' and no '.join(sorted(missing))}, but {sorted(record)}.")
        yield record["image_id"], record["caption"]
