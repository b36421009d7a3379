"""What the grammar says can be read back."""

import pytest

from datasets_syned.photos.captions import CATEGORIES, OF_OBJECTS, PHRASINGS, VALUES, Edit, captions, read, vocabulary
from datasets_syned.photos.lettering import PLACES
from metrics.cider import NO_CHANGE_PHRASES

NAMES = ("apple", "grapes", "orange", "orange slice", "christmas tree", "egg")


def edits(category):
    """Every kind of edit of a category."""
    for name in NAMES if category in OF_OBJECTS else (None,):
        others = [other for other in NAMES if other != name] if category == "replace" else [None]
        for value in VALUES.get(category, others):
            for place in PLACES if category == "text" else (None,):
                yield Edit(category, name, value, place)


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_phrasing_reads_as_the_edit_that_it_says(category):
    said = {}
    for edit in edits(category):
        for caption in captions(edit):
            assert read(caption) == edit
            assert said.setdefault(caption, edit) == edit, "no caption says two edits"
    assert len(PHRASINGS[category]) == len(set(PHRASINGS[category])) == 6


@pytest.mark.parametrize("text", ["", "a dog barks", "the apple", "nothing changed at all", "the apple turned brown"])
def test_other_text_is_not_read(text):
    assert read(text) is None


def test_numbers_and_articles():
    assert captions(Edit("add", "apple"))[0] == "an apple was added"
    assert captions(Edit("add", "grapes"))[:2] == ["grapes were added", "grapes appeared"]
    assert captions(Edit("replace", "glass", "grapes"))[3] == "there are grapes instead of the glass"


def test_the_vocabulary_is_every_word_that_is_said():
    words = {
        word for category in CATEGORIES for edit in edits(category) for said in captions(edit) for word in said.split()
    }
    assert set(vocabulary(NAMES)) == words


def test_reports_know_every_way_to_say_that_nothing_changed():
    assert set(PHRASINGS["none"]) <= set(NO_CHANGE_PHRASES)
