"""What the Hub has against a card, of what a card of this project could run into."""

import re

import yaml

SDKS = ("gradio", "docker", "static")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
LICENSES = (
    "apache-2.0", "mit", "openrail", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "unknown", "other",
)  # fmt: skip


def front_matter(text: str) -> dict:
    """The YAML block of a card."""
    found = re.match(r"^\s*---\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", text, re.S)
    return (yaml.safe_load(found[1]) if found else None) or {}


def card_problems(text: str, kind: str = "model") -> tuple[list[str], list[str]]:
    """Errors and warnings that the Hub has for the card of a model, a "dataset" or a "space"."""
    try:
        data = front_matter(text)
    except yaml.YAMLError as error:
        return [f"bad YAML: {error}"], []
    if not data:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(data, dict):
        return ["the metadata is no mapping"], []
    errors = []
    licenses = data.get("license", [])
    for name in [licenses] if isinstance(licenses, str) else licenses:
        if name not in LICENSES:
            errors.append(f'"license" must be one of [{", ".join(LICENSES)}], not {name!r}')
    languages = data.get("language", [])
    for name in [languages] if isinstance(languages, str) else languages:
        if not (isinstance(name, str) and re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]+)?|code|multilingual", name)):
            errors.append(f'"language" must be an ISO 639 code, not {name!r}')
    for config in data.get("configs", []):
        if not isinstance(config, dict) or "config_name" not in config:
            errors.append('"configs" must have "config_name"')
    if sum(bool(config.get("default")) for config in data.get("configs", []) if isinstance(config, dict)) > 1:
        errors.append('"configs" has several defaults')
    return errors + (_space_problems(data) if kind == "space" else []), []


def _space_problems(data: dict) -> list[str]:
    """Without `sdk` the Hub shows "configuration error" in the place of the Space."""
    errors = []
    if data.get("sdk") not in SDKS:
        errors.append(f'"sdk" must be one of [{", ".join(SDKS)}]')
    for name in {"colorFrom", "colorTo"} & data.keys():
        if data[name] not in COLORS:
            errors.append(f'"{name}" must be one of [{", ".join(COLORS)}]')
    if len(data.get("short_description", "")) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    if not isinstance(data.get("sdk_version", ""), str):
        errors.append('"sdk_version" must be a string')
    return errors
