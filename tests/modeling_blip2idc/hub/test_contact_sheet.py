"""Pairs for a card, as a picture."""

from datasets import load_dataset

from modeling_blip2idc.hub.contact_sheet import contact_sheet, first_of_each


def test_examples_are_not_picked(scenes):
    """The first pair of each kind in the order of the data, also where the caption is wrong."""
    rows = load_dataset(**scenes("test", 12))
    captions = [references[0] for references in rows["captions"]]
    captions[0] = "something else"
    chosen = first_of_each(rows, captions)
    kinds = list(dict.fromkeys(rows["category"]))
    assert [row["category"] for row in chosen] == kinds and len(kinds) > 3
    assert [row["id"] for row in chosen] == [rows["id"][list(rows["category"]).index(kind)] for kind in kinds]
    assert chosen[0]["generated_text"] == "something else" and chosen[0]["exact_reference"] is None
    assert all(row["exact_reference"] for row in chosen[1:])
    assert len(first_of_each(rows.remove_columns("category"), captions, most=3)) == 3
    assert contact_sheet(chosen[:2]).size == contact_sheet([{**row, "score": 0.5} for row in chosen[:2]]).size
