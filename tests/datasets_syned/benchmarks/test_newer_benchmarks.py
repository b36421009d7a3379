"""Benchmarks of other domains, on small folders in the layouts of their authors."""

import json

import datasets
import pytest
from datasets import Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature

import datasets_syned
from tests.support import layouts
from tests.support.layouts import counts, images, load, pixels, raw, write

TEXTS = datasets.List(Value("string"))


def content(rows, number, side):
    return raw(rows)[number][side]["bytes"]


def test_levir_cc(tmp_path):
    root = tmp_path / "levir"
    records = []
    for split, flags in {"train": (0, 1), "val": (None,), "test": (1,)}.items():
        for number, flag in enumerate(flags):
            name = f"{split}_{number:06d}.png"
            images(root / "images" / split, [f"A/{name}", f"B/{name}"])
            said = "the scene is the same as before ." if flag != 1 else "a house appears ."
            record = {"filepath": split, "filename": name, "split": split, "imgid": number, "changeflag": flag}
            records.append({**record, "sentences": [{"raw": f" {said}", "tokens": said.split(), "sentid": 0}] * 2})
    write(root / "LevirCCcaptions.json", {"images": records, "dataset": "LEVIR_CC"})
    data = load("levir_cc", root)
    assert counts(data) == {"train": 2, "validation": 1, "test": 1} and datasets_syned.validate(data) == 4
    assert data["train"]["id"] == ["train_000000", "train_000001"]
    assert data["train"]["changed"] == [False, True] and data["train"]["category"] == ["none", "change"]
    assert data["validation"]["changed"] == [False]  # by its sentences
    assert data["train"]["captions"][1] == ["a house appears ."] * 2
    assert content(data["test"], 0, "after") == (root / "images/test/B/test_000000.png").read_bytes()
    records[0]["sentences"] = ["a house"]
    write(root / "LevirCCcaptions.json", {"images": records})
    with pytest.raises(ValueError, match=r"LevirCCcaptions.json, record 1, sentence 1: must be an object"):
        load("levir_cc", root)


def birds(root, rows):
    header = "img1ObservationURL img1ImgURL img1Species img1Selection img2ObservationURL img2ImgURL img2Species"
    lines = [[*header.split(), "img2Selection", "split", "annN", "description"]]
    for one, two, chosen, split, number, text in rows:
        urls = [f"https://static.inaturalist.org/photos/{photo}/large.jpg?1413" for photo in (one, two)]
        lines.append(["", urls[0], "Corvus corax", "base", "", urls[1], "Pica pica", chosen, split, str(number), text])
    write(root / "birds-to-words-v1.0.tsv", "".join("\t".join(line) + "\n" for line in lines))
    images(root / "images", [f"{photo}.jpg" for row in rows for photo in row[:2]])
    return root


def test_birds_to_words(tmp_path):
    rows = [
        (7, 8, "visual", "train", 1, 'animal1 is "black"'),
        (9, 7, "sameSpecies", "val", 1, "there are no differences"),
        (7, 8, "visual", "train", 2, "animal2 is smaller"),
    ]
    data = load("birds_to_words", birds(tmp_path / "birds", rows))
    assert counts(data) == {"train": 1, "validation": 1} and datasets_syned.validate(data) == 2
    assert data["train"][0]["captions"] == ['animal1 is "black"', "animal2 is smaller"]
    assert (data["train"]["id"], data["train"]["category"]) == (["7-8"], ["visual"])
    assert data["validation"]["changed"] == [False]
    root = birds(tmp_path / "more", [(*rows[0][:3], "all", *rows[0][4:])])
    with pytest.raises(ValueError, match=r"birds-to-words-v1.0.tsv, line 2: 'split' must be train, val or test"):
        load("birds_to_words", root)


def test_diffspot(tmp_path):
    kinds = dict.fromkeys(("id", "difficulty", "task_type", "domain", "ground_truth_diff"), Value("string"))
    kinds |= {"mutation_dicts_json": TEXTS}
    kinds |= {side: ImageFeature() for side in ("image_before", "image_after")}

    def row(name, **values):
        shots = {side: layouts.image(pixels(f"{name} {side}")) for side in ("image_before", "image_after")}
        change = {"difficulty": "easy", "task_type": "diff", "mutation_dicts_json": ['{"type": "line_height"}']}
        return {"id": name, "domain": "news", **change, "ground_truth_diff": "the lines are wider", **shots, **values}

    none = {"task_type": "no_diff", "mutation_dicts_json": [], "ground_truth_diff": None}
    rows = [row("a"), row("b", difficulty="unknown", **none), row("c", difficulty="hard")]
    layouts.parquet(tmp_path / "ds", "test", rows, kinds, files=1)
    data = load("diffspot", tmp_path / "ds")["test"]
    assert datasets_syned.validate(data) == 3
    assert data["category"] == ["line_height", "none", "line_height"] and data["changed"] == [True, False, True]
    assert data["captions"] == [["the lines are wider"], ["there is no difference"], ["the lines are wider"]]
    assert content(data, 2, "after") == pixels("c image_after")
    layouts.parquet(tmp_path / "wrong", "test", [row("a", mutation_dicts_json=["[]"])], kinds, files=1)
    with pytest.raises(ValueError, match=r"row 0: 'mutation_dicts_json' must be a list of texts like"):
        load("diffspot", tmp_path / "wrong")
    with pytest.raises(ValueError, match=r"test-\*.parquet missing in .*tencent/DiffSpot"):
        load("diffspot", layouts.images(tmp_path / "none", ["a.png"]))


@pytest.mark.parametrize("below", ["", "object_replacement/"])
def test_img_diff(tmp_path, below):
    root = tmp_path / "img_diff"
    images(root, [f"{below}filtered_new_edit_data/2_2311_0_{side}.jpg" for side in (0, 1)])
    turns = [("human", "What is the difference?"), ("gpt", "The left shows a truck.")]
    turns = [{"from": who, "value": said} for who, said in turns]
    record = {"conversations": turns, "bbox": "[0.1, 0.2, 0.3, 0.4]", "captions1": "A truck.", "captions2": "A car."}
    record["path"] = "./filtered_new_edit_data/2_2311_0"
    write(root / "img_diff_object_replacement.json", [record])
    data = load("img_diff", root)["train"]
    assert datasets_syned.validate(data) == 1
    assert (data["id"], data["captions"]) == (["2_2311_0"], [["The left shows a truck."]])
    assert content(data, 0, "after") == pixels(f"{below}filtered_new_edit_data/2_2311_0_1.jpg", file_format="JPEG")
    write(root / "img_diff_object_replacement.json", [{**record, "conversations": turns[:1]}])
    with pytest.raises(ValueError, match=r"record 1: 'conversations' has no answer from 'gpt'"):
        load("img_diff", root)


def test_vlm_subtlebench(tmp_path):
    root = images(tmp_path / "subtle", ["images/coco/0.png", "images/coco/0_2.png"])
    record = {"question": "q", "answer": "first image", "distractors": [], "category": "state", "domain": "natural"}
    record |= {"source": "coco", "source_id": "0", "has_caption": True, "caption": "the apple is peeled"}
    record |= {"image_1": "https://huggingface.co/datasets/K/V/resolve/main/images/coco/0.png"}
    record |= {"image_2": "images/coco/0_2.png"}
    others = {**record, "has_caption": False, "caption": None}
    write(root / "data" / "test.jsonl", json.dumps(record) + "\n" + json.dumps(others))
    data = load("vlm_subtlebench", root)["test"]
    assert datasets_syned.validate(data) == 1
    assert (data["id"], data["category"], data["captions"]) == (["state_coco_0"], ["state"], [["the apple is peeled"]])
    write(root / "data" / "test.jsonl", json.dumps(record) + "\n" + json.dumps({**record, "caption": None}))
    with pytest.raises(ValueError, match=r"test.jsonl, line 2: 'caption' must be a text, not None"):
        load("vlm_subtlebench", root)


def test_vismin(tmp_path):
    names = ("image_id", "caption", "source_image_id", "category", "edit_instruction")
    kinds = {**dict.fromkeys(names, Value("string")), "image": ImageFeature()}

    def row(name, source="", category="", said=""):
        texts = {"image_id": name, "caption": f"caption of {name}", "source_image_id": source, "category": category}
        return {**texts, "edit_instruction": said, "image": layouts.image(pixels(name))}

    rows = [row("1"), row("1.0", "1", "object", "replace the cat by a dog"), row("2")]
    rows += [row("2.0", "2", "counting", "add one"), row("1.1", "1", "attribute", "make it red")]
    table = Dataset.from_list(rows, features=Features(kinds))
    DatasetDict(train=table).save_to_disk(tmp_path / "vismin" / "data", num_shards={"train": 2})
    data = load("vismin", tmp_path / "vismin")["train"]
    assert datasets_syned.validate(data) == 3
    assert data["id"] == ["1.0", "2.0", "1.1"] and data["category"] == ["object", "counting", "attribute"]
    assert data["captions"] == [["replace the cat by a dog"], ["add one"], ["make it red"]]
    assert (content(data, 2, "before"), content(data, 2, "after")) == (pixels("1"), pixels("1.1"))
    assert load("vismin", tmp_path / "vismin", caption="caption")["train"]["captions"][0] == ["caption of 1.0"]
    with pytest.raises(ValueError, match=r"data-00000-of-00002.arrow has no column instruction; it has .*edit_instr"):
        load("vismin", tmp_path / "vismin", caption="instruction")
