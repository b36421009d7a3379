"""What the tests of `blip2idc push` share: calls in a process of their own, and looks at what is on the Hub."""

import json
import shutil

import torch
from safetensors.torch import save_file

from tests.support.hub_server import run

# Makes the calls of the first argument, each the words of a command; answers with what each returned and said.
CALLS = """
import contextlib, io, json, sys, time
time.sleep = lambda seconds: None  # the client waits between attempts
from modeling_blip2idc.__main__ import main
done = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["push", *words])
    done.append([code, out.getvalue(), err.getvalue()])
print("> " + json.dumps(done))
"""


def push(hub, home, *calls, token="ann-write"):
    done = run(CALLS, hub.env(home, token, OMP_NUM_THREADS="1"), json.dumps(calls, default=str))
    return json.loads(next(line[2:] for line in done.stdout.splitlines() if line.startswith("> ")))


def files(hub, name, revision="main"):
    found = hub.repo("model", name).at(revision).files
    return {path: file.content for path, file in found.items() if path != ".gitattributes"}


def titles(hub, name):
    return [commit.title for commit in hub.repo("model", name).history()]


UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[2], exist_ok=True)
print(api.upload_folder(repo_id=sys.argv[2], folder_path=sys.argv[1]).oid)
"""
STRANGER = """
import json, sys
if sys.argv[1] == "without":
    sys.modules["modeling_blip2idc"] = None
else:
    import modeling_blip2idc
import numpy as np
from peft import AutoPeftModel, PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
rng = np.random.default_rng(0)
pair = tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2))
trust = {"trust_remote_code": True} if sys.argv[1] == "without" else {}
task, found = "image-difference-captioning", {}
for name in json.loads(sys.argv[2]):
    config = {"config": name} if name == "ann/adapter" and trust else {}
    if name == "ann/embedded":
        model, processor = modeling_blip2idc.load_idc(name)
        pipe = modeling_blip2idc.ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu")
    else:
        pipe = pipeline(task, model=name, device="cpu", **config, **trust)
    found[name] = [pipe(pair)[0], pipe.processor.concat_axis]
for name in ("ann/adapter", "ann/merged"):
    AutoModelForImageTextToText.from_pretrained(name, **trust)
    assert type(AutoProcessor.from_pretrained(name, **trust)).__name__ == "Blip2IDCProcessor"
PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained("ann/plain"), "ann/adapter")
AutoPeftModel.from_pretrained("ann/adapter")
print("> " + json.dumps(found))
"""


def copied(folder, name, **texts):
    """A copy with other files."""
    there = shutil.copytree(folder, folder.parent / name)
    for file, text in texts.items():
        (there / file.replace("_", ".")).write_text(text)
    return there


def refusals(folders):
    """Calls that are refused, by what is said then."""
    pickle, model, cut, other = (copied(folders / of, name) for of, name in (
        ("adapter", "pickle"), ("ours", "bin"), ("ours", "cut"), ("ours", "other"))
    )  # fmt: skip
    (pickle / "adapter_model.safetensors").rename(pickle / "adapter_model.bin")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:-9])
    save_file({"x": torch.zeros(1)}, other / "model.safetensors")
    leak = copied(folders / "ours", "leak", README_md=f"# Mine\n\nFrom {folders}/data.\n")
    secret = copied(folders / "ours", "secret", README_md="# Mine\n\nMade with ann-write.\n")
    no_config, report = (copied(folders / "ours", name) for name in ("no_config", "report"))
    (no_config / "config.json").write_text("{")
    (report / "report.json").write_text('{"about": {"train_data": []}}')
    (folders / "empty").mkdir()
    return {
        "`blip2idc import-adapter` converts an adapter": [pickle, "ann/no"],
        "pytorch_model.bin is a pickle, which is not published": [model, "ann/no"],
        "plain' of this machine, so that nobody else": [folders / "local", "ann/no"],
        "has no adapter to merge": [folders / "ours", "ann/no", "--merge"],
        "No model in ": [folders / "empty", "ann/no"],
        "No such folder: ": [folders / "nowhere", "ann/no"],
        "the token may not write there": [folders / "ours", "bob/theirs"],
        "report.json is damaged: a value in the report": [report, "ann/bad"],
        "config.json is damaged (": [no_config, "ann/bad"],
        "'ann/bad name' cannot be a name on the Hub": [folders / "ours", "ann/bad name", "--dry_run"],
        "with HTTP status 500": [folders / "ours", "ann/down"],
        "model.safetensors is damaged, or not whole": [cut, "ann/bad"],
        "of the weights that its config.json asks for": [other, "ann/bad"],
        "README.md is not published: it names the folder ": [leak, "ann/bad"],
        "README.md is not published: a token is in it": [secret, "ann/bad"],
    }
