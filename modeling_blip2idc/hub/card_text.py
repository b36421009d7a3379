"""What the cards of this package have in common: how to load, and a seal that tells whether somebody edited one."""

import hashlib
import re

THIS = "<this repository>"
WITH = """```python
import modeling_blip2idc
from transformers import pipeline

idc = pipeline("image-difference-captioning"{argument})
idc((before, after))
```"""
WITHOUT = """Without that package, but with the code in this repository, which `trust_remote_code=True` runs:

```python
from transformers import pipeline

idc = pipeline("image-difference-captioning", model="{this}"{config}, trust_remote_code=True)
```"""
ON_EMBEDDED = """```python
from modeling_blip2idc import ImageDifferenceCaptioningPipeline, load_idc

model, processor = load_idc("{this}")
idc = ImageDifferenceCaptioningPipeline(model=model, processor=processor)
idc((before, after))
```

It cannot be used without that package, which has its base model in it. (`blip2idc push --merge` publishes such an
adapter as a full model, which can.)"""
# A page does not show it.
_SEAL = "\n<!-- written by blip2idc; unedited while its text has the checksum {} -->\n"
_SEALED = re.compile(re.escape(_SEAL).replace(r"\{\}", "([0-9a-f]{16})") + r"\Z")
# Of peft's template, and of the Trainer's.
_TEMPLATES = ("[More Information Needed]", "This model card has been generated automatically according to the")


def loading(adapter: bool, embedded_base: bool = False, this: str = THIS) -> str:
    """
    How a published model is loaded, as Markdown.

    Args:
        adapter (`bool`):
            Whether it is one. transformers then looks for the pipeline in the base, unless `config=` says where it is.
        embedded_base (`bool`, *optional*, defaults to `False`):
            Whether its base is the model in this package.
        this (`str`, *optional*):
            Name of the repository.
    """
    if adapter and embedded_base:
        return ON_EMBEDDED.format(this=this)
    without = WITHOUT.format(this=this, config=f', config="{this}"' if adapter else "")
    return WITH.format(argument=f', model="{this}"') + "\n\n" + without


def seal(text: str) -> str:
    """The text of a card with a last line from which [`is_unedited`] sees later that nobody changed it."""
    text = _SEALED.sub("", text).rstrip("\n") + "\n"
    return text + _SEAL.format(_checksum(text))


def is_sealed(text: str) -> bool:
    """Whether this is a card of this package that nobody changed."""
    found = _SEALED.search(text)
    return found is not None and found[1] == _checksum(text[: found.start()])


def is_unedited(text: str) -> bool:
    """Whether no person wrote in this card: it is empty, one of ours, or a template of peft or the Trainer."""
    return not text.strip() or is_sealed(text) or any(words in text for words in _TEMPLATES)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


__all__ = ["THIS", "WITH", "is_sealed", "is_unedited", "loading", "seal"]
