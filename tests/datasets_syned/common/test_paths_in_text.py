"""What is taken out of a text that others will read."""

import pytest

from datasets_syned.common.paths_in_text import without_paths


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[Errno 2] No such file or directory: '/srv/ann/my cat.png'", "[Errno 2] No such file or directory: '…'"),
        ('cannot open "D:\\ann\\my cat.png" (3)', 'cannot open "…" (3)'),
        ("at /srv/ann/x.png, then ~/y and ../z, ./z", "at …, then … and …, …"),
        ("root=/srv/ann (/tmp/x) file:///srv/ann/x", "root=… (…) …"),
        ("D:\\ann\\x.png is broken", "… is broken"),
        ("cannot identify image file <_io.BytesIO object at 0x7feebfceddf0>", "cannot identify image file"),
    ],
)
def test_paths(text, left):
    assert without_paths(text) == left


@pytest.mark.parametrize(
    "text", ["https://huggingface.co/a/b", "timbrooks/instruct-pix2pix", "1/2 and/or a / b", "0.005 is below .01"]
)
def test_what_is_no_path(text):
    assert without_paths(text) == text
