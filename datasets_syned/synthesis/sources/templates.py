"""Instructions from templates and lists of words, for images that come without any."""

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORDS = Path(__file__).parent / "words"
SLOT = re.compile(r"\{(a )?(\w+)\}")
ATTEMPTS = 20  # to find an instruction that an image does not have yet


class Templates:
    """
    Writes instructions: a category of change, a template of it, and words. Which of them depends on the seed, the
    image's id and the number of the instruction alone. Nothing looks at the image: an edit may ask for what is not
    there. Filters drop pairs in which nothing changed.

    Args:
        name (`str`): of a file in `words/` ("satellite", "street", "household", "medical"), or a YAML file of your
            own, with `templates`, lists by category, and `words`, the lists that `{name}` and `{a name}` draw from.
        seed (`int`, *optional*, defaults to 0): of all instructions.

    Raises:
        ValueError: there is no such file, or it has not these lists.
    """

    def __init__(self, name: str, seed: int = 0):
        import yaml

        self.name, self.seed = name, seed
        file = WORDS / f"{name}.yaml"
        file = file if file.is_file() else Path(name).expanduser()
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8"))
        except OSError as error:
            known = ", ".join(sorted(path.stem for path in WORDS.glob("*.yaml")))
            raise ValueError(f"instructions={name!r} is neither a YAML file nor one of {known}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"{name} cannot be read as YAML: {error}") from error
        self.templates, self.words = (self._lists(read, part) for part in ("templates", "words"))
        slots = {slot for texts in self.templates.values() for text in texts for _, slot in SLOT.findall(text)}
        if missing := sorted(slots - set(self.words)):
            raise ValueError(f"{name}: the templates need a list of words {missing[0]!r}")

    def _lists(self, read: Any, part: str) -> dict[str, list[str]]:
        lists = read.get(part) if isinstance(read, Mapping) else None
        if not isinstance(lists, Mapping) or not all(isinstance(texts, list) and texts for texts in lists.values()):
            raise ValueError(f"{self.name}: {part!r} must be there and hold lists of texts by name")
        return {str(name): list(map(str, texts)) for name, texts in lists.items()}

    def write(self, image_id: str, count: int) -> list[tuple[str, str]]:
        """The first `count` instructions for an image with their categories, which take turns. None comes twice."""
        categories = list(self.templates)
        random.Random(f"{self.seed}/{image_id}").shuffle(categories)
        found: dict[str, str] = {}
        for number in range(count):
            chance = random.Random(f"{self.seed}/{image_id}/{number}")
            category = categories[number % len(categories)]
            for _ in range(ATTEMPTS):
                text = self._fill(chance.choice(self.templates[category]), chance)
                if text not in found:
                    found[text] = category
                    break
        return list(found.items())

    def _fill(self, template: str, chance: random.Random) -> str:
        left = {slot: chance.sample(words, len(words)) for slot, words in self.words.items()}

        def word(slot: re.Match) -> str:
            drawn = left[slot[2]].pop() if left[slot[2]] else chance.choice(self.words[slot[2]])
            return f"{'an' if drawn[0].lower() in 'aeiou' else 'a'} {drawn}" if slot[1] else drawn

        return SLOT.sub(word, template)
