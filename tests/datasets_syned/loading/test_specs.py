"""Data sets as a recipe names them: where their files are, and what is refused before anything is built."""

import json

import pytest
from datasets import load_dataset

from datasets_syned.loading.specs import check_files, check_roots, check_spec, place_spec
from tests.support import layouts

SCENES = {"path": "syned", "name": "scenes", "split": "train"}
STD = {"path": "syned", "name": "spot_the_diff", "split": "train"}
IER = {"path": "syned", "name": "image_editing_request", "split": "test"}
HUB = {"path": "someone/syned", "name": "spot_the_diff", "split": "train"}


class TestCheckSpec:
    def test_what_is_right(self):
        check_spec("eval_data", SCENES)
        check_spec("train_data", [SCENES, {**SCENES, "masks": True}])
        check_spec("train_data", [{**SCENES, "masks": True}], masks=True)

    @pytest.mark.parametrize(
        ("specs", "message"),
        [
            ({"path": "syned"}, "data: {'path': 'syned'} has no 'split'"),
            ({"split": "train"}, "data: {'split': 'train'} has no 'path'"),
            ({**SCENES, "split": 3}, "has no 'split'"),
            ("syned", "data: 'syned' must be a dict of arguments of datasets.load_dataset"),
            ([SCENES, "syned"], r"data\[1\]: 'syned' must be a dict"),
            ([SCENES, {"path": "syned"}], r"data\[1\]: {'path': 'syned'} has no 'split'"),
        ],
    )
    def test_refused(self, specs, message):
        with pytest.raises(ValueError, match=message):
            check_spec("data", specs)

    @pytest.mark.parametrize("spec", [SCENES, {**SCENES, "masks": False}])
    def test_dense_supervision_needs_masks(self, spec):
        with pytest.raises(ValueError, match=r"data\[0\]: dense supervision needs object masks; .* `masks: true`"):
            check_spec("data", [spec], masks=True)


class TestPlace:
    @pytest.mark.parametrize(
        ("spec", "roots", "folder"),
        [
            (STD, [], None),
            (STD, ["std/"], "std/"),
            (STD, ["spot_the_diff=std"], "std"),
            (STD, ["all", "spot_the_diff=std"], "std"),
            (IER, ["all", "spot_the_diff=std"], "all"),
            (IER, ["spot_the_diff=std"], None),
            (STD, ["/runs/lr=3/std"], "/runs/lr=3/std"),
            (STD, ["spot_the_diff=/runs/lr=3/std"], "/runs/lr=3/std"),
            ({**STD, "name": "emu_edit", "repo": "someone/emu"}, ["all"], None),
            ({**STD, "name": "emu_edit", "repo": "someone/emu"}, ["all", "emu_edit=ee"], "ee"),
        ],
    )
    def test_where_its_files_are(self, spec, roots, folder):
        before = dict(spec)
        assert place_spec(spec, roots) == (spec if folder is None else {**spec, "data_dir": folder})
        assert spec == before

    def test_roots_that_are_read(self, tmp_path):
        check_roots([SCENES], [])
        check_roots([STD, SCENES], [str(tmp_path)])
        check_roots([STD, IER], [str(tmp_path), f"spot_the_diff={tmp_path}"])

    @pytest.mark.parametrize(
        ("specs", "roots", "message"),
        [
            ([STD], ["{}/no"], r"data_dir '{}/no': there is no folder '{}/no'"),
            ([STD], ["spot_the_diff={}/no"], r"data_dir 'spot_the_diff={}/no': there is no folder '{}/no'"),
            ([SCENES], ["{}"], r"'{}' is read by no data set of this run, which are 'scenes' \(rendered\)\. It would "
             r"be read by {{path: syned, name: folder, split: train}} .*; recipes/my_pairs\.yaml"),
            ([STD, SCENES], ["emu_edit={}"], r"no data set .* are 'spot_the_diff', 'scenes' \(rendered\)\. It would "
             "be read by {{path: syned, name: emu_edit, split: train}}"),
            ([STD], ["{}", "spot_the_diff={}"], "'{}' is read by no data set of this run, which are 'spot_the_diff'"),
            ([{**STD, "data_dir": "mine"}, HUB], ["{}"], r"'spot_the_diff' \(data_dir: mine\), '"),
        ],
    )  # fmt: skip
    def test_roots_that_are_not(self, specs, roots, message, tmp_path):
        with pytest.raises(ValueError, match=message.format(tmp_path, tmp_path)):
            check_roots(specs, [root.format(tmp_path) for root in roots])

    @pytest.mark.parametrize("spec", [SCENES, {"path": "syned", "split": "train"}, HUB, {**STD, "data_dir": "mine"}])
    def test_what_needs_no_files_or_has_them(self, spec):
        assert place_spec(spec, ["all", "spot_the_diff=std"]) == spec

    @pytest.mark.parametrize(
        ("roots", "message"),
        [
            (["a", "b"], "data_dir: 'a' and 'b' for the same data; name them as name=folder"),
            (["spot_the_diff=a", "spot_the_diff=b"], "data_dir: 'a' and 'b' for the same data"),
            (["spot_the_dif=a"], "data_dir 'spot_the_dif=a': no such benchmark; there are birds_to_words, "),
            (["scenes=a"], "data_dir 'scenes=a': no such benchmark"),
            (["spot_the_diff="], "data_dir 'spot_the_diff=': no folder is named"),
            ([""], "data_dir '': no folder is named"),
        ],
    )
    def test_refused(self, roots, message):
        with pytest.raises(ValueError, match=message):
            place_spec(IER, roots)


def spot_the_diff(root):
    names = {"train": ["train", "other"], "val": ["val"], "test": ["test"]}
    rows = {split: [{"img_id": name, "sentences": ["a man left"]} for name in some] for split, some in names.items()}
    return layouts.spot_the_diff(root, rows)


def emu_edit(root):
    rows = [(number, f"add {number} dogs", "add") for number in range(4)]
    return layouts.emu_edit(root, {"validation": rows, "test": rows})


# Benchmarks; a file without which they are incomplete, and what is said then.
BENCHMARKS = {
    spot_the_diff: ("train_2.png", "1 image files are missing or broken\n  .*/train_2.png is missing"),
    emu_edit: ("data/test-00001-of-00002.parquet", r"test-\*.parquet are not the files of one split: 1 are there"),
}


def built(cache):
    """What is in a cache folder, but for the locks that the library leaves when it has looked."""
    return [path for path in cache.rglob("*") if path.suffix != ".lock"]


@pytest.fixture
def spec(tmp_path):
    """Makes the arguments that load a benchmark, with a cache of its own."""

    def make(write, split="train", **options):
        root, cache = write(tmp_path / write.__name__), str(tmp_path / "cache")
        return {"path": "syned", "name": write.__name__, "split": split, "data_dir": str(root), "cache_dir": cache,
                **options}  # fmt: skip

    return make


class TestCheckFiles:
    @pytest.mark.parametrize("write", BENCHMARKS, ids=lambda write: write.__name__)
    def test_benchmarks(self, write, spec, tmp_path):
        arguments = spec(write)
        check_files(arguments)
        assert built(tmp_path / "cache") == []
        file, message = BENCHMARKS[write]
        (tmp_path / write.__name__ / file).unlink()
        with pytest.raises(ValueError, match=message):
            check_files(arguments)
        assert built(tmp_path / "cache") == []

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "spot_the_dif"}, "BuilderConfig 'spot_the_dif' not found. Available: .*'spot_the_diff'"),
            ({"keep_emty": True}, "doesn't have a 'keep_emty' key"),
            ({"on_error": "ignore"}, "on_error='ignore' must be 'raise' or 'skip'"),
        ],
    )
    def test_arguments(self, options, message, spec, tmp_path):
        with pytest.raises(ValueError, match=message):
            check_files({**spec(spot_the_diff), **options})
        assert built(tmp_path / "cache") == []

    def test_how_rows_are_read_is_not_its_business(self, spec, tmp_path):
        reading = {"streaming": True, "num_proc": 2, "keep_in_memory": True, "verification_mode": "no_checks"}
        check_files(spec(spot_the_diff, **reading))
        assert built(tmp_path / "cache") == []

    @pytest.mark.parametrize("split", ["train", "train[:50%]", "train+validation", "train[:1]", "all"])
    def test_splits_and_parts_of_them(self, split, spec):
        arguments = spec(spot_the_diff, split)
        check_files(arguments)
        assert load_dataset(**arguments).num_rows >= 1  # what it passes does load

    @pytest.mark.parametrize("split", ["val", "train+val", "train[", "", "train[2:]"])
    def test_splits_that_it_does_not_have(self, split, spec):
        with pytest.raises(ValueError) as error:
            check_files(spec(spot_the_diff, split))
        assert str(error.value) == (
            f"config 'spot_the_diff' has no rows in split {split!r}; there are train, validation, test"
        )

    def test_parts_of_a_stream(self, spec):
        check_files(spec(spot_the_diff, streaming=True))
        for split in ("train[:50%]", "all"):
            with pytest.raises(ValueError, match="has no rows in split '.*' of a stream; there are train, validation"):
                check_files(spec(spot_the_diff, split, streaming=True))

    def test_scenes(self, tmp_path):
        sizes = {"train": 10, "validation": 0, "test": 0, "cache_dir": str(tmp_path)}
        check_files({**SCENES, **sizes})
        with pytest.raises(ValueError, match="config 'scenes' has no rows in split 'test'; there are train$"):
            check_files({**SCENES, **sizes, "split": "test"})
        for wrong, message in (({"width": 0}, "width=0 must be"), ({"train": "many"}, "train='many' must be")):
            with pytest.raises(ValueError, match=message):
                check_files({**SCENES, **sizes, **wrong})
        with pytest.raises(ValueError, match="leave out data_dir"):
            check_files({**SCENES, **sizes, "data_dir": str(tmp_path)})
        assert built(tmp_path) == []

    def test_other_data_sets(self, tmp_path):
        rows = tmp_path / "rows.jsonl"
        rows.write_text(json.dumps({"id": "1"}) + "\n")
        arguments = {"path": "json", "split": "train", "cache_dir": str(tmp_path / "cache")}
        check_files({**arguments, "data_files": str(rows)})
        assert built(tmp_path / "cache") == []
        with pytest.raises(OSError, match="nowhere.jsonl"):
            check_files({**arguments, "data_files": str(tmp_path / "nowhere.jsonl")})
