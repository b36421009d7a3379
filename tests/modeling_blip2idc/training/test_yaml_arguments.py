"""Values of a recipe: each of the type that its argument has, or one message that says what is wrong."""

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from modeling_blip2idc.training.yaml_arguments import parse_recipe


@dataclass
class Arguments:
    """An argument of each kind that a recipe may have."""

    number: int = 3
    rate: float | None = 1e-3
    name: str | None = "a"
    switch: bool = True
    maybe: bool | None = None
    kind: Literal["no", "epoch"] = "epoch"
    towers: list[str] = field(default_factory=lambda: ["vit"], metadata={"choices": ("vit", "language")})
    seeds: list[int] = field(default_factory=list)
    reports: None | str | list[str] = None
    options: dict | str | None = None
    sharded: str | None = field(default=None, metadata={"nargs": "?", "const": True})
    data: list[dict] = field(default_factory=list)
    spec: dict | None = None


def parse(argv, check=lambda arguments: None):
    (arguments,) = parse_recipe(
        [Arguments], [str(word) for word in argv], check, {"data": '[{"path": "a"}]', "spec": '{"path": "a"}'}
    )
    return arguments


def recipe(folder, **values):
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))
    return folder / "recipe.yaml"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("number", "4", 4),
        ("rate", "1e-4", 1e-4),
        ("rate", None, None),
        ("name", 7, "7"),
        ("switch", False, False),
        ("switch", "no", False),
        ("maybe", "true", True),
        ("maybe", None, None),
        ("kind", "no", "no"),
        ("kind", False, "no"),  # what YAML makes of a bare no
        ("towers", "language", ["language"]),
        ("towers", ["language", "vit"], ["language", "vit"]),
        ("towers", [], []),
        ("seeds", 1, [1]),
        ("seeds", ["1", 2], [1, 2]),
        ("reports", "none", "none"),
        ("reports", ["a", "b"], ["a", "b"]),
        ("options", {"a": 1}, {"a": 1}),
        ("options", "file.json", "file.json"),
        ("sharded", True, True),
        ("sharded", "full", "full"),
        ("data", [{"path": "a"}], [{"path": "a"}]),
        ("data", {"path": "a"}, [{"path": "a"}]),
        ("spec", {"path": "a"}, {"path": "a"}),
        ("spec", None, None),
    ],
)
def test_values(name, value, expected, tmp_path):
    found = getattr(parse([recipe(tmp_path, **{name: value})]), name)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("number", None, "None is not a valid value: it has no value; leave it out for the default"),
        ("number", [3], "[3] is not a valid value: it must be one value"),
        ("number", {"a": 3}, "{'a': 3} is not a valid value: it must be one value"),
        ("number", 3.5, "3.5 is not a valid value"),
        ("rate", [1e-3], "[0.001] is not a valid value: it must be one value"),
        ("switch", "perhaps", "'perhaps' is not a valid value"),
        ("kind", "steps", "'steps' is not a valid value: choose from no, epoch"),
        ("name", ["a"], "['a'] is not a valid value: it must be one value"),
        ("towers", ["lm"], "['lm'] is not a valid value: choose from vit, language"),
        ("towers", {"vit": True}, "{'vit': True} is not a valid value: it must be a list"),
        ("seeds", ["x"], "['x'] is not a valid value"),
        ("data", "a", "'a' is not a valid value: it must be a list"),
        ("spec", [{"path": "a"}], "[{'path': 'a'}] is not a valid value: it must be a dict"),
        ("no_switch", True, "unknown argument no_switch"),
    ],
)
def test_wrong_values(name, value, message, tmp_path, capsys):
    path = recipe(tmp_path, **{name: value})
    with pytest.raises(SystemExit) as exit:
        parse([path])
    said = capsys.readouterr().err.strip().splitlines()
    assert exit.value.code == 2 and len(said) == 2
    assert f"error: recipe '{path}': " in said[1] and message in said[1]
    assert name == "no_switch" or f": {name}: " in said[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "3"], "must be a list"),
        (["--spec", '[{"path": "a"}]'], "must be a dict"),
        (["--spec", "{"], "'{' is not JSON (Expecting property name"),
    ],
)
def test_json_on_the_command_line(words, message, capsys):
    spec = {"path": "a"}
    for data in (spec, [spec]):
        found = parse(["--data", json.dumps(data), "--spec", json.dumps(spec), "--no_switch"])
        assert (found.data, found.spec, found.switch) == ([spec], spec, False)
    with pytest.raises(SystemExit):
        parse(words)
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
