"""What a chat model is asked, and how its answer is read."""

import ast
import json
import re
import warnings
from typing import Any

SYSTEM = (
    "You reword instructions for editing images. The new wording asks for exactly the same edit: it keeps every "
    "object, number, color, place and quoted text, and adds nothing."
)
REQUEST = (
    "Say this instruction in {count} different ways. Each is one short sentence that begins with a verb. Answer with "
    "a numbered list of {count} lines and nothing else.\n\nInstruction: {instruction}"
)

THOUGHT = re.compile(r"<think>.*?(?:</think>|$)|^.*?</think>", re.DOTALL)
# `1.`, `2)`, `(3)`, `**4.**`, `-`, `•`, `a)`, `Variation 2:`
MARK = re.compile(
    r"\s*(?:\*\*)?(?:\(?\d{1,2}[.):]|\(?[a-z]\)|[-*•–]"
    r"|(?:paraphrase|variation|version|option|alternative|way|rewording|instruction) ?\d{1,2} ?[.:)])(?:\*\*)?\s+",
    re.IGNORECASE,
)
STRUCTURE = re.compile(r"^\s*[\[{]\s*[\[{\"'\n]", re.MULTILINE)
STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


def render(tokenizer: Any, instruction: str, count: int, system: str = SYSTEM) -> str:
    """
    The prompt for one instruction, by the chat template of the tokenizer. Where the template has no place for a system
    text, the text stands in front of the user's.

    Raises:
        Exception: whatever the template raises.
    """
    request = REQUEST.format(count=count, instruction=instruction)
    # Models that can think before they answer need not: their templates know `enable_thinking`, others ignore it.
    options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    if system:
        turns = [{"role": "system", "content": system}, {"role": "user", "content": request}]
        try:
            prompt = tokenizer.apply_chat_template(turns, **options)
        except Exception:  # what a template raises is its own; the next try shows whether the role was the reason
            prompt = ""
        if system in prompt:
            return prompt
        request = f"{system}\n\n{request}"
    return tokenizer.apply_chat_template([{"role": "user", "content": request}], **options)


def read_answer(answer: str, ended: bool = True) -> list[tuple[str, bool]]:
    """
    The texts of a list: numbered, with bullets, in JSON, or just lines. If any line is marked as an item, the others
    are an announcement or an explanation, and are left out.

    Args:
        answer (`str`): of a model.
        ended (`bool`, *optional*, defaults to `True`): whether the model came to its end.

    Returns:
        `list[tuple[str, bool]]`: each text, and whether it is complete: the last of an answer without end is not.
    """
    answer = THOUGHT.sub("", answer).replace("\r\n", "\n")
    lines = [line for line in answer.split("\n") if not line.strip().startswith("```")]
    cut = not ended and bool(lines) and bool(lines[-1].strip())
    block = "\n".join(lines).strip()
    structure = STRUCTURE.search(block)
    if structure:
        texts = _strings(block[structure.start() :])
    else:
        marked = [line for line in lines if MARK.match(line)]
        cut = cut and (not marked or bool(MARK.match(lines[-1])))
        texts = [MARK.sub("", line, count=1) for line in marked or lines]
    texts = [text for text in map(str.strip, texts) if text]
    return [(text, not (cut and place == len(texts) - 1)) for place, text in enumerate(texts)]


def _strings(block: str) -> list[str]:
    """The strings in JSON or a literal of Python, at any depth; of one that does not end, those that are whole."""
    for read in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
                found = read(block[: max(block.rfind("]"), block.rfind("}")) + 1])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        texts, nested = [], [found]
        while nested:
            each = nested.pop()
            if isinstance(each, str):
                texts.append(each)
            elif isinstance(each, list | tuple | dict):
                nested += reversed(list(each.values() if isinstance(each, dict) else each))
        return texts
    return [text[1:-1] for text in STRINGS.findall(block)]
