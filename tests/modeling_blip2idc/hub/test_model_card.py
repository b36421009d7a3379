"""The card of a run: it says what the report says, and nothing of this machine."""

import re

import pytest
from datasets import load_dataset
from huggingface_hub import ModelCard
from transformers import TrainerState

from datasets_syned.photos import scores as photos
from datasets_syned.scenes.scores import score_captions
from metrics.report import build_report, summarize_seeds, write_report
from modeling_blip2idc.hub.model_card import is_generated, write_card
from modeling_blip2idc.training.run_folder import about_run
from tests.support.hub_cards import card_problems
from train_arguments import DataArguments, IDCTrainingArguments, ModelArguments

TRAIN = {"path": "syned", "name": "scenes", "split": "train", "train": 100, "seed": 1, "masks": True}
TEST = {"path": "syned", "name": "scenes", "split": "test", "test": 12}
TRAINABLE = {"vit": 1024, "qformer": 976, "total": 2000}


def about(folder, model=None, data=None, history=(), **options):
    """As a run makes it whose arguments are these; `model` and `data` are dicts of the first two groups."""
    arguments = IDCTrainingArguments(str(folder), report_to="none", bf16=False, use_cpu=True, **options)
    state = TrainerState(epoch=2.5, global_step=1200, log_history=[*history], best_global_step=900, best_metric=4.5)
    data = DataArguments(**{"train_data": [TRAIN], "test_data": TEST, **(data or {})})
    return about_run(ModelArguments(**(model or {})), data, arguments, state, TRAINABLE)


@pytest.fixture(scope="module")
def rows(scenes):
    return load_dataset(**scenes("test", 12))


@pytest.fixture(scope="module")
def report(rows):
    """Of a describer who is right every second time, and says that nothing changed of four pairs, of two rightly."""
    references, categories = list(rows["captions"]), list(rows["category"])
    captions = [references[i | 1][0] for i in range(12)]
    scenes = score_captions(captions, references, categories)
    options = {"ids": list(rows["id"]), "categories": categories, "changed": list(rows["changed"])}
    extra = {"scenes": scenes, "oracle_cider": 5.0}
    return build_report(captions, references, **options, extra=extra, resamples=20, meteor=False)


@pytest.fixture
def card(tmp_path):
    """Writes the card of a run into `my_run/final`, with what is replaced in its report."""

    def write(report=None, curves=None, replaced=(), **options):
        folder = tmp_path / "my_run" / "final"
        folder.mkdir(parents=True, exist_ok=True)
        facts = about(folder.parent, **options)
        write_card(folder, {**(report or {}), "about": facts, **dict(replaced)}, curves)
        return ModelCard.load(folder / "README.md")

    return write


def table(text):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


class TestTable:
    def test_it_is_the_report(self, card, report):
        head, _, *lines = table(card(report).text)
        assert head == ["category", "pairs", "CIDEr", "own", "BLEU-4", "ROUGE-L", "kind", "words", "exact"]
        assert [line[0] for line in lines] == ["all", *report["by_category"]] and len(lines) > 5
        for name, *cells in lines:
            scores = report["scores"] if name == "all" else report["by_category"][name]
            read = report["scenes"] if name == "all" else report["scenes"]["by_category"][name]
            low, high = scores["cider_interval"]
            own, words = scores.get("cider_idf_category"), read["attributes_accuracy"]
            assert cells == [
                str(report["count"] if name == "all" else scores["count"]),
                f"{100 * scores['cider']:.1f} ({100 * low:.1f} to {100 * high:.1f})",
                "" if name == "all" else f"{100 * own:.1f}",
                f"{scores['bleu_4']:.3f}",
                f"{scores['rouge_l']:.3f}",
                f"{read['category_accuracy']:.1%}",
                "" if words is None else f"{words:.1%}",
                f"{read['exact']:.1%}",
            ]
        assert {line[7] for line in lines if line[0] == "none"} == {""}  # an unchanged pair has no attribute words

    def test_with_meteor_and_without_categories_or_scenes(self, card, report):
        plain = {name: report[name] for name in report if name not in ("scenes", "oracle_cider")}
        scores = {**report["scores"], "meteor": 0.25}
        made = card({**plain, "scores": scores, "by_category": None})
        head, _, line = table(made.text)
        assert head == ["category", "pairs", "CIDEr", "BLEU-4", "METEOR", "ROUGE-L"] and line[4] == "0.250"
        assert "*own*" not in made.text and "*Kind*" not in made.text and "perfect describer" not in made.text
        assert {r.metric_type: r.metric_value for r in made.data.eval_results}["meteor"] == 0.25


# A cell, a line, a heading, the end of the header, a tag, code, a link, emphasis, an entity, a formula; and unseen.
HOSTILE = "a|b\n# c\n---\n<script>`d`[e](http://f) *g* &lt; $$h$$ _i_ \x1b[1m\u2028|j"
SHOWN = r"a\|b \# c --- \<script\>\`d\`\[e\](http://f) \*g\* \&lt; \$\$h\$\$ \_i\_ \[1m \|j"


def test_every_text_of_a_report_is_escaped(card, report, tmp_path):
    def hostile(value, keep=()):
        if isinstance(value, dict):
            return {name: one if name in keep else hostile(one, keep) for name, one in value.items()}
        if isinstance(value, list):
            return [hostile(one, keep) for one in value]
        return HOSTILE if isinstance(value, str) else value

    facts = hostile(about(tmp_path, {"model": OPT, "revision": "v1"}), keep=("tuning",))
    facts["base_commit"] = HOSTILE
    parts = {HOSTILE: next(iter(report["by_category"].values()))}
    parts = {
        "by_category": parts,
        "scenes": {**report["scenes"], "by_category": dict.fromkeys(parts, report["scenes"])},
    }
    made = card(replaced={**hostile(report), **parts, "about": facts}.items())
    folder = tmp_path / "my_run" / "final"
    assert made.data.model_name == HOSTILE and len(made.data.eval_results) == 6
    assert made.data.eval_results[3].metric_args["category"] == HOSTILE
    body = made.text.replace(SHOWN, "TEXT")
    assert body.count("TEXT") > 8 and "script" not in body and "http://f" not in body
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in body.splitlines() if line[:1] == "|"} == {10}
    assert [line for line in body.splitlines() if line[:2] == "# "] == ["# A BLIP2IDC adapter"]

    write_report(folder, {**report, **parts, "about": facts, "benchmark": HOSTILE}, None)
    text = (folder / "report.md").read_text(encoding="utf-8").replace(SHOWN, "TEXT")
    assert "<script>" not in re.sub("`[^`]*`", "", text) and "\n# c" not in text
    assert text.startswith("# Captions of TEXT, scored\n") and "| TEXT | " in text


class TestReading:
    def test_what_it_says(self, card, report):
        text = card(report).text
        references = sum(len(pair["references"]) for pair in report["pairs"])
        assert f"On syned scenes test test=12: 12 pairs with {references} references." in text
        assert "CIDEr-D as pycocoevalcap computes it, times 100" in text and "the 95 % interval of a bootstrap" in text
        floor, people, unchanged = report["constant_caption"], report["leave_one_out"], report["no_change"]
        assert f"(*{floor['caption']}*), has a CIDEr of {100 * floor['cider']:.1f}." in text
        assert f" A reference against the others of its pair has {100 * people['cider']:.1f}.\n" in text
        assert (unchanged["unchanged"], unchanged["recall"], unchanged["precision"]) == (2, 1.0, 0.5)
        assert (
            "Of 2 unchanged pairs, 100.0% were called unchanged; of those called so, 50.0% are (F1 0.667)."
        ) in text
        share = report["scores"]["cider"] / 5
        assert f"has a CIDEr of 500.0; the model has {share:.1%} of that" in text
        assert "Over the seeds" not in text

    @pytest.mark.parametrize(
        ("name", "changes", "says"),
        [
            (
                "no_change",
                {"unchanged": 0, "precision": None, "recall": None, "f1": None},
                r"(?s)^(?!.*unchanged pairs)",
            ),
            ("leave_one_out", None, r"(?s)^(?!.*A reference against)"),
            (
                "leave_one_out",
                {"count": 7},
                r"against the others of its pair has \d+\.\d, on the 7 pairs with several\.",
            ),
            ("confidence", 0.9, "brackets the 90 % interval"),
        ],
    )
    def test_of_another_report(self, card, report, name, changes, says):
        changed = {**report[name], **changes} if isinstance(changes, dict) else changes
        assert re.search(says, card({**report, name: changed}).text)

    def test_seeds(self, card, report):
        reports = {
            seed: {**report, "scores": {**report["scores"], "cider": cider}} for seed, cider in ((1, 1.0), (22, 2.0))
        }
        seeds = summarize_seeds(reports)
        evaluated = {"history": [{"eval_cider": 1.25, "step": 1200}], "seed": 22}
        text = card({**report, "seeds": seeds}, **evaluated).text
        spread = "Over the seeds 1, 22 CIDEr is 150.0 with a standard deviation of 70.7 (100.0 to 200.0)."
        assert f"{spread} This is the model of seed 22, the best of them on the evaluation split." in text
        text = card({**report, "seeds": seeds}).text
        assert spread in text and "the best of them" not in text  # nothing was evaluated to choose by
        assert "Over the seeds" not in card({**report, "seeds": summarize_seeds({1: report})}).text


class TestHeader:
    def test_model_index(self, card, report):
        data = card(report).data
        assert data.model_name == "my_run" and data.library_name == "peft"
        assert data.base_model is None and data.license == "apache-2.0" and "lora" in data.tags
        scores = report["scores"]
        everything = [r for r in data.eval_results if "category" not in (r.metric_args or {})]
        assert {(r.metric_type, r.metric_name): r.metric_value for r in everything} == {
            ("cider", "CIDEr-D (x100)"): round(100 * scores["cider"], 4),
            ("bleu", "BLEU-4"): round(scores["bleu_4"], 4),
            ("rouge", "ROUGE-L"): round(scores["rouge_l"], 4),
        }
        for result, (key, unit) in zip(everything, (("cider", 100), ("bleu_4", 1), ("rouge_l", 1)), strict=True):
            ends = [round(unit * end, 4) for end in scores[f"{key}_interval"]]
            assert result.metric_args == {"interval": ends, "confidence": 0.95}
        for result in data.eval_results:
            assert (result.dataset_type, result.dataset_name) == ("syned", "syned scenes")
            assert (result.dataset_config, result.dataset_split) == ("scenes", "test")
            assert (result.task_type, result.task_name) == ("image-to-text", "Image difference captioning")
        parts = {r.metric_name: r for r in data.eval_results if r not in everything}
        assert len(parts) == 3 * len(report["by_category"])
        for name, part in report["by_category"].items():
            cider = parts[f"CIDEr-D (x100), {name}"]
            assert cider.metric_value == round(100 * part["cider"], 4) and cider.metric_type == "cider"
            assert (cider.metric_args["category"], cider.metric_args["pairs"]) == (name, part["count"])
            assert cider.metric_args["interval"] == [round(100 * end, 4) for end in part["cider_interval"]]

    def test_another_data_set(self, card, report):
        data = card(report, data={"test_data": {"path": "someone/pairs", "split": "validation[:10]"}}).data
        result = data.eval_results[0]
        assert (result.dataset_type, result.dataset_name) == ("someone/pairs", "someone/pairs")
        assert (result.dataset_config, result.dataset_split) == (None, "validation[:10]")

    def test_the_hub_takes_it(self, card, report, tmp_path):
        card(report, model={"model": "Salesforce/blip2-opt-2.7b"})
        assert card_problems((tmp_path / "my_run" / "final" / "README.md").read_text(encoding="utf-8")) == ([], [])

    def test_not_scored(self, card):
        made = card(data={"test_data": None})
        assert "Not scored on a test split." in made.text and made.data.eval_results is None
        assert "It was scored on" not in made.text and table(made.text) == []
        assert made.data.model_name is None


OPT, STEPS = "Salesforce/blip2-opt-2.7b", "1,200 steps of 8 pairs (2.5 epochs) on: "
SIZE = "(alpha 16, dropout 0.05)"


class TestHowItWasMade:
    @pytest.mark.parametrize(
        ("model", "says"),
        [
            ({"towers": ["vit", "qformer"]}, f"LoRA of rank 8 {SIZE} on vit, qformer ("),
            (
                {"model": OPT, "revision": "5157", "rank": 4, "towers": ["vit"], "targets": "authors"},
                f"LoRA of rank 4 {SIZE} on vit (authors targets) of {OPT} (revision 5157), ",
            ),
            ({"model": OPT, "tuning": "qlora"}, f" of {OPT}, quantized to four bits, "),
            ({"model": OPT, "tuning": "full", "revision": "v1"}, f"All weights of {OPT} (revision v1) were trained, "),
            ({"tuning": "full"}, "All weights of the embedded model mini were trained, "),
            ({"scratch": {}}, "Trained from nothing by `train_trainer.py`, "),
        ],
    )
    def test_kinds(self, card, report, model, says):
        made = card(report, model=model)
        assert says in made.text and STEPS + "syned scenes train train=100 seed=1 masks=True." in made.text
        adapter = "scratch" not in model and model.get("tuning") != "full"
        assert made.data.library_name == ("peft" if adapter else "transformers")
        assert made.data.base_model == model.get("model") and ("lora" in made.data.tags) == adapter
        assert made.data.license == (None if "model" in model else "apache-2.0")
        assert '"<this repository>"' in made.text and is_generated(made.content)
        assert ("a few shapes and colors" in made.text) == ("scratch" in model)
        assert "scratch" in model or "2,000 trained parameters; learning rate " in made.text

    def test_the_embedded_model(self, card, report):
        text = card(report, model={"scratch": {}}, data={"dense_supervision": True}, embed="mini").text
        assert "# BLIP2IDC mini: an embedded model" in text and 'pipeline("image-difference-captioning")' in text
        assert "by `make mini`, " in text and "linear heads on the vision" in text

    def test_rates_and_checkpoints(self, card, report):
        best = {"load_best_model_at_end": True, "eval_strategy": "steps", "save_strategy": "steps"}
        options = {"learning_rate": 1e-4, "lr_scheduler_type": "cosine", "seed": 3}
        text = card(report, data={"augment": True}, **best, **options).text
        assert "learning rate 0.0001, cosine schedule, seed 3; the checkpoint of step 900 was the best one." in text
        assert "Training images were blurred" in text
        text = card(report, **options).text
        assert "cosine schedule, seed 3." in text and "was the best one" not in text and "blurred" not in text

    def test_pictures(self, card, report, tmp_path):
        text = card(report, curves=tmp_path / "nowhere.png").text
        assert "curves.png" not in text and "examples.png" not in text
        (tmp_path / "drawn.png").write_bytes(b"a picture")
        (tmp_path / "my_run" / "final" / "examples.png").write_bytes(b"a picture")
        text = card(report, curves=tmp_path / "drawn.png").text
        assert "![Loss and scores during training](curves.png)" in text
        assert "the first test pair of each kind, right or wrong" in text
        assert (tmp_path / "my_run" / "final" / "curves.png").read_bytes() == b"a picture"


class TestLoading:
    def test_with_this_package_and_without(self, card, report):
        alone = 'pipeline("image-difference-captioning", model="<this repository>", '
        full = card(report, model={"model": OPT, "tuning": "full"}).text
        assert f"{alone}trust_remote_code=True)" in full and "config=" not in full
        adapter = card(report, model={"model": OPT}).text
        assert f'{alone}config="<this repository>", trust_remote_code=True)' in adapter
        embedded = card(report).text
        assert "trust_remote_code" not in embedded and "cannot be used without that package" in embedded
        for name, text in (("full", full), ("adapter", adapter), ("embedded", embedded)):
            assert not re.search(r"\n{3}|None|undefined|{[{%]", text), name  # of the template

    def test_merged(self, card, report, tmp_path):
        folder = tmp_path / "my_run" / "final"
        card(report, model={"model": OPT})
        write_card(folder, {**report, "about": about(folder.parent, {"model": OPT})}, merged=True)
        made = ModelCard.load(folder / "README.md")
        assert made.data.library_name == "transformers" and "lora" not in made.data.tags
        assert "LoRA of rank 8" in made.text and "The adapter was then merged into the weights" in made.text

    def test_the_base_as_it_was(self, card, report):
        for revision, commit, says in ((None, "abc", "revision abc"), ("v1", "abc", "revision v1, commit abc")):
            facts = {"base_commit": commit, "revision": revision}
            made = card(report, replaced={"about": {**about("r", {"model": OPT}), **facts}}.items())
            assert f" of {OPT} ({says}), " in made.text


def test_nothing_of_this_machine(card, report, tmp_path):
    base, file = tmp_path / "my_base", tmp_path / "paraphrases.json"
    base.mkdir()
    file.touch()
    places = {"cache_dir": str(tmp_path), "data_dir": str(tmp_path), "num_proc": 2, "token": "hf_secret"}
    local = {"path": str(base), "split": "test", "data_files": [str(file)], "references": str(file), **places}
    data = {"train_data": [{**local, "split": "train"}], "test_data": local}
    made = card(report, model={"model": str(base)}, data=data)
    content = (tmp_path / "my_run" / "final" / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in content and "hf_secret" not in content and "num_proc" not in content
    assert not re.search(r"(?<![\w./<])/(tmp|home|root|work|Users)/", content)
    assert " of my_base" in made.text and made.data.base_model is None and made.data.license is None
    assert "on: my_base train references=paraphrases.json." in made.text
    assert made.data.eval_results[0].dataset_type == "my_base"


def test_a_model_for_photographs(card, tmp_path):
    """Its own columns, what it knows, and when it is not sure."""
    references = [["an apple was added"], ["the dog was removed"], ["nothing changed"]]
    categories = ["add", "remove", "none"]
    captions = ["an apple was added", "the apple was removed", "nothing changed"]
    extra = photos.score_captions(captions, references, categories)
    sure = {"not_sure_below": 0.4321, "pairs_below": 1, "right_below": 0.0, "right_above": None}
    scored = build_report(captions, references, ids=["0", "1", "2"], categories=categories, resamples=20, meteor=False)
    knows = {"edits": ["add", "remove", "none"], "objects": ["apple", "dog"]}
    facts = {"about": about(tmp_path, model={"scratch": {}}, embed="mini_photos") | {"knows": knows}}
    made = card({**scored, "photos": extra, "sureness": sure}, replaced=facts).text
    head, _, *lines = table(made)
    assert head[-4:] == ["kind", "object", "value", "exact"]
    assert lines[0][-4:] == ["100.0%", "50.0%", "", "66.7%"]
    assert "# BLIP2IDC mini_photos: an embedded model" in made and "by `make mini-photos`, " in made
    assert "knows 3 kinds of edit (add, remove, none) and 2 objects by name" in made
    assert "Its objects: apple, dog." in made and "nearest words" in made
    assert "Below a score of 0.432 it says that it is not sure" in made
    assert "1 fall below, with the kind right in 0.0%." in made
