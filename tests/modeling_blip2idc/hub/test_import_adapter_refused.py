"""What `blip2idc import-adapter` refuses, and that nothing in a pickle runs."""

import json
import os
import pickle
import struct

import pytest
import torch

from modeling_blip2idc.__main__ import main
from modeling_blip2idc.hub.import_adapter import import_adapter
from tests.support.adapters import PEFT_05, write_old

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # peft's, of fields that it has renamed


class Runs:
    """A pickle that makes a folder when it is opened by `pickle.load`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"mkdir {self.path}",)


class TestRefused:
    def refused(self, folder, base, match, error=ValueError):
        out = folder.parent / "never"
        with pytest.raises(error, match=match) as caught:
            import_adapter(folder, out, base)
        assert not out.exists() and not list(folder.parent.glob(".never*"))
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
    def test_a_pickle_that_runs_something(self, old, base, tmp_path, weights, form):
        trap, file = tmp_path / "executed", old / "adapter_model.bin"
        content = {**weights, "x": Runs(trap)}
        if form == "bare":
            file.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
        self.refused(old, base, r"adapter_model\.bin is refused, nothing in it was run")
        assert not trap.exists()
        if form != "legacy":
            with_pickle = pickle.loads(pickle.dumps(Runs(trap)))  # noqa: S301  the trap works
            assert with_pickle == 0 and trap.exists()

    @pytest.mark.parametrize("extra", [3, "text", [torch.ones(2)], {"inner": torch.ones(2)}, None])
    def test_anything_but_tensors(self, old, base, weights, extra):
        torch.save({**weights, "step": extra}, old / "adapter_model.bin")
        self.refused(old, base, r"adapter_model\.bin is refused: 'step' is a ")

    def test_no_names_and_odd_tensors(self, old, base, weights):
        for content, match in (
            (list(weights.values()), "holds a list, not tensors by name"),
            ({0: torch.ones(2)}, "'0' is a Tensor"),
            ({**weights, "a": torch.ones(2, dtype=torch.int64)}, "'a' is no plain tensor of floats"),
            ({**weights, "a": torch.eye(2).to_sparse()}, "'a' is no plain tensor of floats"),
            ({**weights, "a": torch.ones(2, device="meta")}, "'a' is no plain tensor of floats"),
        ):
            torch.save(content, old / "adapter_model.bin")
            self.refused(old, base, match)

    def test_a_damaged_file(self, old, base):
        file = old / "adapter_model.bin"
        for content in (b"", b"no pickle", file.read_bytes()[:5000]):
            file.write_bytes(content)
            self.refused(old, base, r"adapter_model\.bin is refused.*damaged")
        file.unlink()
        self.refused(old, base, "has neither adapter_model.safetensors nor adapter_model.bin", FileNotFoundError)
        (old / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2**40))
        self.refused(old, base, r"adapter_model\.safetensors is refused.*damaged")

    def test_names_that_are_no_adapters(self, old, base, weights):
        torch.save({"model.layers.0.weight": torch.ones(2)}, old / "adapter_model.bin")
        self.refused(old, base, "is no adapter of peft: 'model.layers.0.weight' does not begin with")
        torch.save({}, old / "adapter_model.bin")
        self.refused(old, base, "it lacks 30 of 30 weights")

    def test_modules_that_the_base_has_not(self, old, base, weights):
        more = {name.replace("layers.1.", "layers.7."): tensor for name, tensor in weights.items() if "qkv" in name}
        torch.save({**weights, **more}, old / "adapter_model.bin")
        self.refused(old, base, "2 of its 32 weights are for modules that the base has not.*layers.7.self_attn.qkv")
        (old / "adapter_config.json").write_text(json.dumps({**PEFT_05, "target_modules": ["c_attn"]}))
        self.refused(old, base, "does not fit its base model: .*c_attn")

    def test_missing_weights(self, old, base, weights):
        torch.save(dict(list(weights.items())[1:]), old / "adapter_model.bin")
        self.refused(old, base, f"it lacks 1 of 30 weights, such as '{next(iter(weights))}'")

    def test_another_rank(self, old, base):
        (old / "adapter_config.json").write_text(json.dumps({**PEFT_05, "r": 16}))
        self.refused(
            old, base, r"has the shape \(8, 32\); with the rank 16 of adapter_config.json it must be \(16, 32\)"
        )

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_values_that_are_not_finite(self, old, base, weights, value):
        name = sorted(weights)[3]
        broken = {**weights, name: weights[name].clone()}
        broken[name][0, 0] = value
        torch.save(broken, old / "adapter_model.bin")
        self.refused(old, base, f"1 weights have values that are not finite, such as '{name}'")

    def test_values_too_large_for_the_dtype(self, base, tmp_path, weights):
        old = write_old(tmp_path / "large", {name: tensor.float() * 1e6 for name, tensor in weights.items()})
        with pytest.raises(ValueError, match=r"too large for torch.float16; take another dtype"):
            import_adapter(old, base=base, dtype=torch.float16)

    def test_configurations(self, old, base):
        for config, match in (
            ({**PEFT_05, "peft_type": "IA3", "feedforward_modules": []}, "only 'LORA' can be imported"),
            ({**PEFT_05, "peft_type": "NOTHING"}, "adapter_config.json is no configuration of an adapter"),
        ):
            (old / "adapter_config.json").write_text(json.dumps(config))
            self.refused(old, base, match)
        (old / "adapter_config.json").write_text("{")
        self.refused(old, base, "adapter_config.json is no configuration of an adapter")
        (old / "adapter_config.json").unlink()
        self.refused(old, base, "adapter_config.json is missing", FileNotFoundError)

    def test_a_base_of_another_kind(self, old, tmp_path):
        (tmp_path / "bert").mkdir()
        (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
        self.refused(old, tmp_path / "bert", "is a 'bert', neither BLIP-2 nor InstructBLIP")

    def test_a_folder_with_something_in_it(self, old, base, tmp_path):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").write_text("kept")
        with pytest.raises(FileExistsError, match="full is not empty"):
            import_adapter(old, tmp_path / "full", base)
        assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
        with pytest.raises(FileExistsError, match="mine.txt is a file"):
            import_adapter(old, tmp_path / "full" / "mine.txt", base)

    def test_errors_are_one_line_and_status_2(self, old, base, tmp_path, weights, capsys):
        torch.save({**weights, "x": Runs(tmp_path / "executed")}, old / "adapter_model.bin")
        assert main(["import-adapter", str(old), "--base", str(base)]) == 2
        err = capsys.readouterr().err
        assert err.startswith("blip2idc: error: ") and "adapter_model.bin is refused" in err and err.count("\n") == 1
        assert main(["import-adapter", str(tmp_path / "nothing")]) == 2
        assert "No such folder" in capsys.readouterr().err
