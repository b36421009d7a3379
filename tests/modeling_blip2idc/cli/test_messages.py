"""What people get wrong: one line on stderr that names it, the right exit status, and nothing written."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest

from blip2idc_cli import main
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from modeling_blip2idc.loading.examples import EXAMPLES
from tests.support.source_tree import ROOT

BASE = "modeling_blip2idc/mini"
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": BASE, "r": 4, "target_modules": ["q_proj"]}
FILES = {
    "text.png": "hello",
    "empty.png": "",
    "notes.jsonl": "no table",
    "notes.csv": "no,table\n1,2\n",
    "empty.csv": "",
    "head.csv": "before,after\n",
    "list.jsonl": "[1]\n",
    "empty/": "",
    "bert/config.json": '{"model_type": "bert"}',
    "list/config.json": "[1]",
    "broken/config.json": "{",
    "broken-base/adapter_config.json": json.dumps(ADAPTER | {"base_model_name_or_path": "no/such/base"}),
    "no-weights/adapter_config.json": json.dumps(ADAPTER),
    "no-kind/adapter_config.json": json.dumps(ADAPTER | {"peft_type": "ABACUS"}),
    "list-adapter/adapter_config.json": "[]",
}
DAMAGED = ("tokenizer.json", "processor_config.json", "model.safetensors")  # of a copy of the embedded model
PAIR = "color_before.png color_after.png"
SEE = "See `blip2idc {} --help`."

MESSAGES = [
    # commands and options
    ("", 2, "Missing command. See `blip2idc --help`."),
    ("dmo", 2, "No such command 'dmo'. Did you mean 'demo'? See"),
    ("cpation a.png b.png", 2, "No such command 'cpation'. Did you mean 'caption'"),
    ("push-spac someone/page", 2, "No such command 'push-spac'. Did you mean 'push-space'"),
    ("--vers", 2, "No such option: --vers (Possible options: --version)"),
    ("--colour", 2, f"No such option: --colour {SEE.format('caption')}"),
    ("x y --batch 2", 2, "No such option: --batch (Possible options: --batch_size)"),
    ("push run/ someone/x --dry-run", 2, "No such option: --dry-run (Possible options: --dry_run)"),
    ("demo --model", 2, "Option '--model' requires an argument."),
    ("merge adapter/", 2, f"Missing argument 'out'. (The new folder.) {SEE.format('merge')}"),
    ("merge a b c", 2, f"Got unexpected extra argument(s) (c) {SEE.format('merge')}"),
    (f"{PAIR} --num_beams two", 2, "'--num_beams': Input should be a valid integer"),
    (f"{PAIR} --num_beams 0", 2, "greater than or equal to 1 (Beams of the search, such as 4.)"),
    (f"{PAIR} --dtype int8", 2, "'int8' is not one of 'float32', 'bfloat16', 'float16'"),
    ("serve --port 99999", 2, "less than or equal to 65535 (Such as 8080; 0: any free one."),
    (f"{PAIR} --device abacus", 2, "--device abacus: "),
    ("serve --host 203.0.113.7", 1, "cannot listen on port 7860 of 203.0.113.7"),
    # images and pairs
    ("color_before.png", 2, "only one image given, color_before.png: give two, or a folder"),
    ("nothing", 2, "nothing: no such file or folder"),
    ("color_before.png empty", 2, "give two images, one or two folders, or a table of pairs, not color_before.png"),
    ("empty", 2, "no pairs in empty: name the images before/NAME.png and after/NAME.png, or NAME_before.png"),
    ("nothing.csv", 2, "nothing.csv: No such file or directory"),
    ("picture.csv", 2, "picture.csv is not a table of pairs, but something else than text: 'utf-8' codec can't"),
    ("notes.jsonl", 2, "notes.jsonl is not a table of pairs: Expecting value"),
    ("notes.csv", 2, "notes.csv is not a table of pairs: it needs the columns before and after, and a row for each"),
    ("empty.csv", 2, "empty.csv is not a table of pairs: it needs the columns"),
    ("head.csv", 2, "head.csv is not a table of pairs: it needs the columns"),
    ("list.jsonl", 2, "list.jsonl is not a table of pairs: it needs the columns"),
    ("canvas nothing.png color_after.png out.png", 1, "before 'nothing.png': no such file"),
    ("canvas color_before.png text.png out.png", 1, "after 'text.png': starts with b'hello', and is damaged or not"),
    ("canvas color_before.png empty.png out.png", 1, "after 'empty.png': is empty."),
    # what is written
    (f"{PAIR} --output nowhere/out.csv", 2, "--output nowhere/out.csv: there is no folder nowhere"),
    (f"{PAIR} --output empty", 2, "--output empty is a folder: name a file"),
    (f"{PAIR} --heatmap out.abc", 2, "--heatmap out.abc is not the name of a picture, such as out.png"),
    (f"{PAIR} --heatmap out", 2, "--heatmap out is not the name of a picture, such as out.png"),
    ("pairs --heatmap out.png", 2, "--heatmap draws one pair: give two images"),
    ("demo --out nowhere/page.html", 2, "--out nowhere/page.html: there is no folder nowhere"),
    ("demo --picture out.abc", 2, "--picture out.abc is not the name of a picture"),
    (f"canvas {PAIR} out.jpg", 2, "out.jpg: the canvas is written as a .png"),
    (f"canvas {PAIR} nowhere/out.png", 2, "OUT.png nowhere/out.png: there is no folder nowhere"),
    ("merge broken text.png", 1, "text.png is a file; name a folder that does not exist yet"),
    ("merge broken pairs", 1, "pairs is not empty; name a folder that does not exist yet"),
    # models
    (f"{PAIR} --model nothing/", 1, "No such folder: 'nothing/', which is not a Hub id either."),
    (f"{PAIR} --model nothing", 1, "'nothing': is not a folder on this machine. "),
    (f"{PAIR} --model empty", 1, "No model in 'empty': it has neither config.json nor adapter_config.json."),
    (f"{PAIR} --model text.png", 1, "'text.png' is a file; name the folder of the model."),
    (f"{PAIR} --model bert", 1, "'bert' is neither a BLIP-2 nor an InstructBLIP model"),
    (f"{PAIR} --model list", 1, "config.json of 'list' is not a JSON object"),
    (f"{PAIR} --model broken", 1, "the config file at 'broken/config.json' is not a valid JSON file"),
    (f"{PAIR} --model mini-tokenizer", 1, "A JSON file of 'mini-tokenizer' is damaged: Expecting property name"),
    (f"{PAIR} --model mini-processor_config", 1, "'mini-processor_config/processor_config.json' is not a valid JSON"),
    (f"{PAIR} --model mini-model", 1, "A file of weights of 'mini-model' is damaged or incomplete"),
    (f"{PAIR} --model broken-base", 1, "The base model of the adapter 'broken-base' is missing. No such folder"),
    (f"{PAIR} --model no-weights", 1, "no-weights has neither adapter_model.safetensors nor adapter_model.bin"),
    (
        f"{PAIR} --model no-kind",
        1,
        "adapter_config.json of 'no-kind' is not the configuration of an adapter: 'ABACUS'",
    ),
    (f"{PAIR} --model list-adapter", 1, "adapter_config.json of 'list-adapter' is not a JSON object"),
    (f"canvas {PAIR} out.png --model broken", 1, "A JSON file of 'broken' is damaged: Expecting property name"),
    ("serve --model nothing/", 1, "No such folder: 'nothing/', which is not a Hub id either."),
    ("merge nothing/ out", 1, "No such folder: 'nothing/', which is not a Hub id either."),
    ("merge no-weights out", 1, "no-weights has neither adapter_model.safetensors nor adapter_model.bin"),
    ("import-adapter nothing/", 1, "nothing', which is not a Hub id either."),
    ("import-adapter no-weights --base nothing/", 1, "No such folder: 'nothing/', which"),
    ("push nothing/ someone/x", 1, "No such folder: 'nothing/'."),
    ("push broken a/b/c", 1, "'a/b/c' cannot be a name on the Hub, which is like account/name"),
    ("push-space what?", 1, "'what?' cannot be a name on the Hub, which is like account/name"),
    ("push-space page --model empty", 1, "empty is on this machine only; `blip2idc push` it"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the messages are about."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text(text)
    for name in ("color_before.png", "color_after.png"):
        shutil.copy(EXAMPLES / name, folder)
    shutil.copy(EXAMPLES / "color_before.png", folder / "picture.csv")
    shutil.copytree(EXAMPLES, folder / "pairs")
    for name in DAMAGED:
        copy = shutil.copytree(EMBEDDED["mini"], folder / f"mini-{name.partition('.')[0]}")
        (copy / name).write_text("{")
    return folder


@pytest.mark.parametrize(("line", "status", "message"), MESSAGES, ids=[line or "nothing" for line, *_ in MESSAGES])
def test_what_cannot_be_meant(folder, monkeypatch, capsys, line, status, message):
    """With `--json`, stdout is JSON, too."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # which otherwise is asked again for minutes
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    arguments = shlex.split(line) + ["--json"] * line.startswith(PAIR)
    assert main(arguments) == status
    out, errors = capsys.readouterr()
    (said,) = errors.splitlines()
    assert said.startswith("blip2idc: error: ") and message in said
    assert [json.loads(text)["error"] for text in out.splitlines()] == (
        [said.removeprefix("blip2idc: error: ")] if "--json" in arguments else []
    )
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(folder, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(folder)
    tmp_path.chmod(0o500)
    assert main([*PAIR.split(), "--output", str(tmp_path / "out.csv")]) == 2
    assert capsys.readouterr().err == f"blip2idc: error: --output {tmp_path / 'out.csv'}: you may not write there\n"


# Stands for an environment without a package.
WITHOUT = (
    "import sys, runpy; sys.modules[{!r}] = None; sys.argv = {!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.mark.parametrize(
    ("argv", "package", "extra"),
    [
        (["blip2idc_cli.py", "serve"], "gradio", "app"),
        (["app.py"], "fastapi", "app"),
    ],
)
def test_a_missing_extra_is_one_line_with_what_to_install(argv, package, extra):
    environment = os.environ | {"GRADIO_SERVER_PORT": "0"}
    command = [sys.executable, "-c", WITHOUT.format(package, argv)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.removeprefix("blip2idc: error: ") == (
        f"{package} is not installed: pip install 'blip2idc[{extra}]'\n"
    )
