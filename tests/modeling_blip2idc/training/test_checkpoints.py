"""The checkpoints of a run: what its log says after any interruption, and which file of one is damaged."""

import json
import pickle

import pytest
import torch
from PIL import Image
from transformers import TrainerCallback

from metrics.report import draw_curves
from modeling_blip2idc import load_idc
from modeling_blip2idc.training.checkpoints import RunLog, last_checkpoint
from tests.support.trainer_rows import rows_of, trainer_of

pytestmark = pytest.mark.usefixtures("one_thread")


class StopAt(TrainerCallback):
    """An interruption at the end of a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def trainer_in(folder, model_dir, *callbacks, draw=lambda history, path: None, **options):
    """A trainer of 6 steps that evaluates at 2, 4 and 6, and saves at 3 and 6."""
    steps = {
        "max_steps": 6,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_steps": 3,
        "predict_with_generate": False,
    }
    callbacks = [RunLog(draw), *callbacks]
    return trainer_of(
        *load_idc(model_dir), folder, callbacks=callbacks, eval_dataset=rows_of(2), **{**steps, **options}
    )


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def what(line):
    return line["step"], "loss" if "loss" in line else "evaluation" if "eval_loss" in line else "end"


EXPECTED = [(1, "loss"), (2, "loss"), (2, "evaluation"), (3, "loss"), (4, "loss"), (4, "evaluation")]
EXPECTED += [(5, "loss"), (6, "loss"), (6, "evaluation"), (6, "end")]


class TestRunLog:
    def test_the_lines_are_the_history(self, tiny_model_dir, tmp_path):
        trainer = trainer_in(tmp_path, tiny_model_dir, draw=draw_curves)
        trainer.evaluate()  # before training: it is no part of the run
        assert not (tmp_path / "metrics.jsonl").exists()
        trainer.state.log_history.clear()
        trainer.train()
        assert lines(tmp_path) == trainer.state.log_history
        assert [what(line) for line in lines(tmp_path)] == EXPECTED
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.format == "PNG" and picture.width > 500

    def test_interrupted_and_continued(self, tiny_model_dir, tmp_path):
        """After an interruption the file has a line of step 4, from which the checkpoint of step 3 does not know."""
        uninterrupted = trainer_in(tmp_path / "whole", tiny_model_dir)
        uninterrupted.train()
        folder = tmp_path / "cut"
        with pytest.raises(KeyboardInterrupt):
            trainer_in(folder, tiny_model_dir, StopAt(5)).train()
        assert [what(line) for line in lines(folder)] == EXPECTED[:6]
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('{"loss": 1.')  # killed while it wrote
        trainer_in(folder, tiny_model_dir).train(resume_from_checkpoint=last_checkpoint(folder))
        assert [what(line) for line in lines(folder)] == EXPECTED
        timed = ("runtime", "per_second", "flos")
        both = [
            [{name: value for name, value in line.items() if not name.endswith(timed)} for line in lines(one)]
            for one in (folder, tmp_path / "whole")
        ]
        losses = [line[-1].pop("train_loss") for line in both]
        assert both[0] == both[1] and losses[0] == pytest.approx(losses[1], rel=1e-6)

        trainer = trainer_in(folder, tiny_model_dir)  # has taken its last step
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        assert lines(folder)[-1]["train_loss"] == pytest.approx(losses[1], rel=1e-6)

    def test_a_mean_that_nobody_knows(self, tiny_model_dir, tmp_path):
        """The losses of steps 5 and 6 were not logged before the checkpoint of step 6."""
        trainer_in(tmp_path, tiny_model_dir, logging_steps=4).train()
        assert lines(tmp_path)[-1]["train_loss"] > 0
        trainer_in(tmp_path, tiny_model_dir, logging_steps=4).train(resume_from_checkpoint=last_checkpoint(tmp_path))
        assert what(lines(tmp_path)[-1]) == (6, "end") and "train_loss" not in lines(tmp_path)[-1]

    def test_another_process_writes_nothing(self, tiny_model_dir, tmp_path):
        trainer = trainer_in(tmp_path, tiny_model_dir, save_strategy="no")
        trainer.state.is_world_process_zero = False
        log = next(one for one in trainer.callback_handler.callbacks if isinstance(one, RunLog))
        trainer.state.log_history.append({"loss": 1.0, "step": 1})
        for event in (log.on_train_begin, log.on_log, log.on_evaluate, log.on_train_end):
            event(trainer.args, trainer.state, trainer.control)
        assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def checkpoint(one_thread, tiny_model_dir, tmp_path_factory):
    trainer_in(folder := tmp_path_factory.mktemp("run"), tiny_model_dir, max_steps=3).train()
    return folder / "checkpoint-3"


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors"])
def test_a_damaged_file_is_named(name, checkpoint, tiny_model_dir, tmp_path):
    whole, trainer = (checkpoint / name).read_bytes(), trainer_in(tmp_path, tiny_model_dir)
    torch.save([1], tmp_path / "other")
    damaged = [whole[: len(whole) // 2], pickle.dumps(print), (tmp_path / "other").read_bytes()]
    try:
        for content in damaged:
            (checkpoint / name).write_bytes(content)
            with pytest.raises(ValueError) as error:
                trainer.train(resume_from_checkpoint=str(checkpoint))
            message = str(error.value)
            assert f"{checkpoint / name} cannot be read (" in message and "\n" not in message
            assert "Without this checkpoint's folder the same command continues from the one before" in message
    finally:
        (checkpoint / name).write_bytes(whole)
