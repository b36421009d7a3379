"""The recipes of the published runs: they parse, agree with the released adapters, and say where a value is from."""

import re
from typing import NamedTuple

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from peft import get_peft_model

from datasets_syned.benchmarks import CONFIGS
from datasets_syned.loading.specs import check_spec
from metrics.report.published import published
from modeling_blip2idc.loading.lora import TOWERS, lora_config
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import CAPTIONS, random_pairs
from train_arguments import parse

RECIPES = ROOT / "recipes"
PATHS = sorted(path for path in RECIPES.glob("*.yaml") if path.stem != "defaults")
OPTIONS = {config.name: set(config.__dataclass_fields__) for config in CONFIGS}
READING = {"path", "name", "split"}


class Adapter(NamedTuple):
    """What an adapter of github.com/gautierevn/BLIP2IDC was trained with, and what is not recorded: `None`."""

    rank: int
    lora_alpha: int
    learning_rate: float | None
    lora_dropout: float = 0.05


# r, lora_alpha and lora_dropout of code_release/weights/<folder>/adapter_config.json at aa490f9; the learning rate is
# in the folder's name.
RELEASED = {
    "clevr_change": Adapter(16, 32, 1e-4),  # clevr_sota/clevr_change_loraRank16_1e-4.bin.opt.16
    "clevr_dc": Adapter(8, 16, 5e-5),  # clevr_dc/training_clevr_DC_5e-5_8LoraRank_8.bin.opt
    "spot_the_diff": Adapter(8, 16, 1e-4),  # spot_sota/spot_1e-4_rank_8_seed_1234__8_15.bin.opt
    "image_editing_request": Adapter(16, 32, None),  # ier/ier_seed_1234.bin.opt
    "syned": Adapter(32, 64, 4e-5),  # syned_sota/syned_full_lora_32_lr_4e-5_32.bin.opt
    "syned_emu_edit": Adapter(8, 16, 5e-5),
    "emu_edit": Adapter(8, 16, 5e-5),  # none of its own was released: as after Syned
}
TRAINED_ON = {name: [name] for name in RELEASED} | {"syned_emu_edit": ["syned", "emu_edit"]}
TESTED_ON = {name: name for name in RELEASED} | {"syned": "emu_edit", "syned_emu_edit": "emu_edit"}


@pytest.fixture(scope="module", params=sorted(RELEASED))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def arguments(name):
    return parse([str(RECIPES / f"{name}.yaml"), "--use_cpu", "true"])


def lines(name):
    return (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_parses(path):
    *_, training = parse([str(path), "--use_cpu", "true"])
    assert training.output_dir == f"runs/{path.stem}", "two recipes must not share a folder"


def test_there_is_one_for_every_published_run():
    assert {path.stem for path in PATHS} >= set(RELEASED)
    assert all(published(benchmark) for benchmark in TESTED_ON.values())


def test_agrees_with_the_released_adapter(name, arguments):
    model, _, training = arguments
    released = RELEASED[name]
    assert (model.model, model.revision) == ("Salesforce/blip2-opt-2.7b", "51572668da0eb669e01a189dc22abe6088589a24")
    for part in ("rank", "lora_alpha", "lora_dropout"):
        assert getattr(model, part) == getattr(released, part)
    # target_modules of every adapter_config.json: qkv, q_proj, k_proj, v_proj, key, value, crossattention query
    assert (model.tuning, tuple(model.towers), model.targets) == ("lora", TOWERS, "authors")
    # 1e-4 is the default of the authors' script
    assert training.learning_rate == (released.learning_rate or 1e-4)


def test_agrees_with_the_authors_script(name, arguments):
    """train_BLIP2IDC.py at 316cc5b; batches of train_BLIP2IDC.sh, of train_BLIP2.sh, or its default."""
    *_, training = arguments
    batch = {"spot_the_diff": 48, "syned": 32, "emu_edit": 32, "syned_emu_edit": 32}.get(name, 16)
    assert training.per_device_train_batch_size * training.gradient_accumulation_steps == batch
    assert (training.num_train_epochs, training.early_stopping_patience) == (100, 10)
    assert (training.lr_scheduler_type, training.warmup_steps, training.weight_decay) == ("constant", 0, 0.01)
    assert (training.adam_beta1, training.adam_beta2, training.adam_epsilon) == (0.9, 0.999, 1e-8)
    assert (training.max_new_tokens, training.num_beams) == (77, 1)
    assert (training.eval_strategy, training.save_strategy) == ("epoch", "epoch")
    assert training.load_best_model_at_end and training.save_total_limit >= 2
    assert (training.metric_for_best_model, training.greater_is_better) == ("cider", True)


def test_data(name, arguments):
    _, data, training = arguments
    assert [spec["name"] for spec in data.train_data] == TRAINED_ON[name]
    assert data.eval_data["name"] == data.test_data["name"] == TESTED_ON[name]
    splits = [*(spec["split"] for spec in data.train_data), data.eval_data["split"], data.test_data["split"]]
    assert splits == ["train"] * len(data.train_data) + ["validation", "test"]
    check_spec("train_data", data.train_data)
    for spec in (*data.train_data, data.eval_data, data.test_data):
        assert spec["path"] == "syned" and set(spec) - READING <= OPTIONS[spec["name"]]
        assert "data_dir" not in spec, "folders are given on the command line"
    assert len(set(training.seeds)) >= 3


def test_image_editing_request_is_not_chosen_by_its_test():
    _, data, _ = parse([str(RECIPES / "image_editing_request.yaml"), "--use_cpu", "true"])
    assert all(spec["leak_free"] for spec in (*data.train_data, data.eval_data))
    assert set(data.test_data) == READING, "the test split is as published"


def test_emu_edit_is_scored_as_published(name, arguments):
    _, data, _ = arguments
    if TESTED_ON[name] == "emu_edit":
        assert data.test_data["references"] == "gt_augmented_test_clean.json" and data.test_data["raw_references"]


def test_augmentation(name, arguments):
    """Photographs are augmented, as in the authors' code; renderings and camera frames are not."""
    assert arguments[1].augment == (name in ("image_editing_request", "syned", "emu_edit", "syned_emu_edit"))


@pytest.mark.parametrize("name", [*sorted(RELEASED), "defaults"])
def test_each_value_says_where_it_is_from(name):
    values = [line for line in lines(name) if re.match(r"\w+:", line) and not re.match(r"\w+_data:|synthesis:", line)]
    named = {line.partition(":")[0] for line in values} - {"defaults"}
    sections = {"train_data", "eval_data", "test_data", "synthesis", "defaults"}
    assert named == set(yaml.safe_load("\n".join(lines(name)))) - sections
    for line in values:
        _, marked, source = line.partition("  # ")
        assert line == "defaults: defaults.yaml" or marked and re.match(r"(adapter|script|paper|ours)\b", source), line
    header = "\n".join(line for line in lines(name) if line.startswith("#"))
    if name == "defaults":
        assert "github.com/gautierevn/BLIP2IDC" in header and "316cc5b" in header and "2412.15939" in header
    else:
        assert f"train_trainer.py recipes/{name}.yaml" in header and "see defaults.yaml" in header


def test_a_recipe_has_only_what_differs(name):
    shared = yaml.safe_load((RECIPES / "defaults.yaml").read_text(encoding="utf-8"))
    assert not shared.keys() & yaml.safe_load("\n".join(lines(name)))


def test_every_matrix_of_an_adapter_gets_a_gradient(tiny_model, tiny_processor):
    """Which `ddp_find_unused_parameters: false` relies on."""
    assert yaml.safe_load("\n".join(lines("defaults")))["ddp_find_unused_parameters"] is False
    model = get_peft_model(tiny_model, lora_config(TOWERS, "authors"))
    batch = tiny_processor(random_pairs(2), captions=CAPTIONS[:2])
    model(**batch).loss.backward()
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and not [name for name, weight in trained.items() if weight.grad is None]


@pytest.mark.parametrize("name", ["ddp", "fsdp", "deepspeed"])
def test_accelerate(name):
    config = load_config_from_file(str(RECIPES / "accelerate" / f"{name}.yaml"))
    assert config.distributed_type == DistributedType[{"ddp": "MULTI_GPU"}.get(name, name.upper())]
    assert (config.mixed_precision, config.use_cpu, config.num_machines) == ("bf16", False, 1)
    assert config.num_processes > 1
    text = (RECIPES / "accelerate" / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"accelerate launch --config_file recipes/accelerate/{name}.yaml" in text
    assert all((ROOT / recipe).is_file() for recipe in re.findall(r"recipes/[\w./-]+\.yaml", text))


def test_fsdp_leaves_the_layers_to_the_trainer():
    """Which finds those of every tower; transformers' own list for BLIP-2 names classes that are in no captioner."""
    settings = load_config_from_file(str(RECIPES / "accelerate" / "fsdp.yaml")).fsdp_config
    assert settings["fsdp_version"] == 2 and settings["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
    assert "fsdp_transformer_layer_cls_to_wrap" not in settings


def test_deepspeed_takes_the_batch_from_the_recipe():
    config = load_config_from_file(str(RECIPES / "accelerate" / "deepspeed.yaml")).deepspeed_config
    assert config["zero_stage"] == 2
    assert config["gradient_accumulation_steps"] == config["gradient_clipping"] == "auto"
    assert not any("batch" in key for key in config), "accelerate's own default is auto"
