"""Rows of unequal length to rows of one length."""


def pad_rows(columns: dict[str, list[list[int]]], fill: dict[str, int | None], options: dict) -> dict[str, list]:
    """
    Pads columns of rows, and adds the `attention_mask` that belongs to `input_ids`, if there is such a column.

    Args:
        columns (`dict[str, list[list[int]]]`):
            Each with the same row lengths.
        fill (`dict[str, int]`):
            What each column is padded with.
        options (`dict`):
            As for a tokenizer: `padding` (defaults to `True`), `max_length`, `pad_to_multiple_of`, `padding_side`
            (defaults to `"right"`).

    Returns:
        `dict[str, list[list[int]]]`: the columns, and `attention_mask` with 0 on padding.

    Raises:
        `ValueError`: if there is something to pad and `fill` has `None` for it.
    """
    columns, fill = dict(columns), {**fill, "attention_mask": 0}
    lengths = [len(row) for row in next(iter(columns.values()))]
    padding = options.get("padding", True)
    if padding in (False, "do_not_pad"):
        total = 0
    elif padding == "max_length" and options.get("max_length"):
        total = max(*lengths, options["max_length"])
    else:
        total = max(lengths)
        total += -total % (options.get("pad_to_multiple_of") or 1)
    if "input_ids" in columns:
        columns["attention_mask"] = [[1] * length for length in lengths]
    left = options.get("padding_side", "right") == "left"
    for name, rows in columns.items():
        if fill[name] is None and total > min(lengths):
            raise ValueError(f"{name} have to be padded, and the tokenizer has no pad token: set tokenizer.pad_token.")
        pads = [[fill[name]] * (total - len(row)) for row in rows]
        columns[name] = [pad + row if left else row + pad for row, pad in zip(rows, pads, strict=True)]
    return columns
