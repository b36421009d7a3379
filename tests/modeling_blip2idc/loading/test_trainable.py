"""A checkpoint made ready for training: what is trained, in which type; and what is refused from its config alone."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from modeling_blip2idc import InstructBlipIDCProcessor, count_trainable, load_idc, lora_config
from modeling_blip2idc.loading import trainable
from modeling_blip2idc.loading.trainable import check_trainable, load_trainable
from tests.support.tiny_blip2 import random_pairs

# Of the tiny models, for each unit of rank: inputs plus outputs of every adapted projection, all 32 but the fused 96.
VIT = 2 * (32 + 96)
QFORMER = 2 * 3 * 64 + 3 * 64  # cross-attention in the first layer only
LANGUAGE = {"tiny_model_dir": 2 * 3 * 64, "instructblip_dir": 2 * 3 * 64, "tiny_t5_dir": (2 + 2 * 2) * 3 * 64}


@pytest.fixture(params=LANGUAGE)
def family(request):
    """Folders of a BLIP-2 with OPT, an InstructBLIP with LLaMA and a BLIP-2 with T5; their name."""
    return request.getfixturevalue(request.param), request.param


@pytest.fixture(scope="module")
def adapter(tiny_model_dir, tmp_path_factory):
    """Folder of an adapter that changes what its base says, named by its path from there."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    get_peft_model(load_idc(tiny_model_dir)[0], lora_config(init_lora_weights=False)).save_pretrained(folder)
    return folder


@pytest.fixture
def config_only(tmp_path):
    """Copies a model's config into a folder of its own, without weights."""

    def copy(folder):
        shutil.copyfile(folder / "config.json", tmp_path / "config.json")
        return tmp_path

    return copy


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


class TestCheck:
    @pytest.mark.parametrize("tuning", ["lora", "full"])
    def test_the_config_is_enough(self, family, config_only, tuning):
        folder = config_only(family[0])
        assert check_trainable(folder, tuning=tuning, dtype="bfloat16", attn_implementation="eager") is None
        with pytest.raises(OSError, match="no file named model.safetensors"):
            load_trainable(folder, tuning=tuning)

    def test_the_embedded_model(self):
        assert check_trainable(None) is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"tuning": "lara"}, "tuning 'lara' is not one of lora, full, qlora"),
            ({"tuning": "qlora"}, "qlora needs a CUDA GPU and bitsandbytes"),
            ({"dtype": "float16"}, "dtype float16: weights of 16 bits overflow in training, and the loss becomes NaN"),
            ({"dtype": "half", "tuning": "full"}, "Give bfloat16, or float32 with fp16 for mixed precision"),
            ({"dtype": "int9"}, "dtype 'int9' cannot be trained; give bfloat16, float32"),
            ({"dtype": "int8"}, "dtype 'int8' cannot be trained; give bfloat16, float32"),
            ({"fp16": True}, "fp16 needs a GPU: leave it out, the CPU computes in float32"),
            ({"towers": ("vit", "lm")}, "towers is .*'lm'.; give one or more of 'vit', 'qformer', 'language'"),
            ({"targets": "all"}, "targets is 'all'; it must be 'full' or 'authors'"),
            ({"attn_implementation": "fast"}, "attn_implementation 'fast': .* not supported. The only possible"),
            ({"attn_implementation": "flash_attention_2"}, "'flash_attention_2': FlashAttention2 has been toggled on"),
        ],
    )
    def test_refused(self, tiny_model_dir, options, message):
        with pytest.raises(ValueError, match=message):
            check_trainable(tiny_model_dir, **options)

    def test_a_gpu_that_is_left_alone_or_without_bitsandbytes(self, tiny_model_dir, cuda, monkeypatch):
        check_trainable(tiny_model_dir, fp16=True)
        for options in ({"tuning": "qlora"}, {"fp16": True}):
            with pytest.raises(ValueError, match="needs a (CUDA )?GPU"):
                check_trainable(tiny_model_dir, **options, use_cpu=True)
        monkeypatch.setattr(trainable, "find_spec", lambda name: None)
        with pytest.raises(ValueError, match="qlora needs a CUDA GPU and bitsandbytes .pip install bitsandbytes"):
            check_trainable(tiny_model_dir, tuning="qlora")

    @pytest.mark.parametrize("tuning", ["lora", "full"])
    def test_t5_overflows_in_float16(self, tiny_model_dir, tiny_t5_dir, cuda, tuning):
        check_trainable(tiny_model_dir, tuning=tuning, fp16=True)
        with pytest.raises(ValueError, match="fp16 with a T5: its feed-forward layers overflow in float16. Use bf16"):
            check_trainable(tiny_t5_dir, tuning=tuning, fp16=True)

    def test_an_adapter_is_no_base(self, adapter, tiny_model_dir, config_only):
        with pytest.raises(ValueError, match=f"'{adapter}' is an adapter already: give its base model, or use --tun"):
            check_trainable(adapter)
        check_trainable(adapter, tuning="full")
        folder = config_only(tiny_model_dir)
        config = json.loads((adapter / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "/no/such/base"}))
        with pytest.raises(FileNotFoundError, match="base model of the adapter .* No such folder: '/no/such/base'"):
            check_trainable(folder, tuning="full")


class TestLoRA:
    def test_what_is_trained(self, family):
        folder, name = family
        model, processor = load_trainable(folder, towers=("language", "vit"), targets="authors", rank=4)
        counts = {"vit": 4 * VIT, "language": 4 * LANGUAGE[name]}
        assert {part: count for part, count in count_trainable(model).items() if count} == {
            **counts,
            "total": sum(counts.values()),
        }
        assert isinstance(model, PeftModel)
        assert isinstance(processor, InstructBlipIDCProcessor) == (name == "instructblip_dir")

    def test_what_peft_is_told(self, tiny_model_dir):
        model, _ = load_trainable(
            tiny_model_dir, revision="v1", towers=["language"], rank=4, lora_alpha=32, lora_dropout=0.25
        )
        config = model.peft_config["default"]
        assert (config.r, config.lora_alpha, config.lora_dropout, config.revision) == (4, 32, 0.25, "v1")
        assert config.base_model_name_or_path == str(tiny_model_dir)

    @pytest.mark.parametrize(("dtype", "base"), [(None, torch.float32), ("bfloat16", torch.bfloat16)])
    def test_its_own_weights_are_float32(self, family, dtype, base):
        model, _ = load_trainable(family[0], dtype=dtype)
        types = {True: set(), False: set()}
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == (".lora_" in name)
            types[parameter.requires_grad].add(parameter.dtype)
        assert types == {True: {torch.float32}, False: {base}}

    def test_a_quantized_base(self, tiny_model_dir, cuda, monkeypatch):
        """As far as it goes without a GPU: what `load_idc` is asked for, and what is trained then."""
        asked = {}

        def without_quantizing(*args, **kwargs):
            asked.update(kwargs)
            return load_idc(tiny_model_dir, dtype=asked["dtype"])

        monkeypatch.setattr(trainable, "find_spec", lambda name: name)
        monkeypatch.setattr(trainable, "load_idc", without_quantizing)
        model, _ = load_trainable(tiny_model_dir, tuning="qlora", device="cuda:0")
        config = asked["quantization_config"]
        assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True) and config.load_in_4bit
        assert config.bnb_4bit_compute_dtype == torch.bfloat16
        assert asked["device_map"] == {"": "cuda:0"} and asked["dtype"] == "bfloat16"
        assert count_trainable(model)["total"] == 8 * (VIT + QFORMER + LANGUAGE["tiny_model_dir"])
        with pytest.raises(ValueError, match="needs a CUDA GPU"):
            load_trainable(tiny_model_dir, tuning="qlora", device="cpu")


class TestFull:
    def test_everything(self, family):
        model, _ = load_trainable(family[0], tuning="full")
        parameters = list(model.parameters())
        assert all(one.requires_grad for one in parameters) and {one.dtype for one in parameters} == {torch.float32}
        assert count_trainable(model)["total"] == sum(one.numel() for one in parameters)
        assert not isinstance(model, PeftModel)

    def test_an_adapter_is_merged_first(self, adapter, tiny_model_dir):
        expected, processor = load_idc(adapter)
        model, _ = load_trainable(adapter, tuning="full")
        assert not any("lora" in name for name, _ in model.named_parameters())
        assert all(parameter.requires_grad for parameter in model.parameters())
        inputs = processor(images=random_pairs(2))
        with torch.no_grad():
            logits = model.eval()(**inputs).logits
            torch.testing.assert_close(logits, expected(**inputs).logits, rtol=1e-4, atol=1e-4)
            assert (logits - load_idc(tiny_model_dir)[0](**inputs).logits).abs().max() > 0.1

    @pytest.mark.parametrize("layer", ["lm_head", "embed_tokens"])
    def test_an_adapter_on_shared_weights_is_merged_first(self, layer, tiny_model_dir, tmp_path):
        """OPT's embeddings and output layer are one weight, of which the adapter changes one use only."""
        torch.manual_seed(0)
        config = LoraConfig(r=4, target_modules=[layer], init_lora_weights=False)
        get_peft_model(load_idc(tiny_model_dir)[0], config).save_pretrained(tmp_path)
        expected, processor = load_idc(tmp_path)
        inputs = processor(images=random_pairs(2))
        with torch.no_grad():
            logits = load_trainable(tmp_path, tuning="full")[0].eval()(**inputs).logits
            torch.testing.assert_close(logits, expected(**inputs).logits, rtol=1e-4, atol=1e-4)
