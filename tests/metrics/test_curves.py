"""The picture of a run: what is in which panel, with parts missing, and where it is written."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from metrics.report import draw_curves

PANEL, HEIGHT = 572, 418  # pixels

TRAINING = [{"step": step, "loss": 3 - step / 10, "learning_rate": 1e-3, "epoch": 1.0} for step in (1, 2, 3, 4)]
EVALUATIONS = [
    {"step": 2, "eval_loss": 2.5, "eval_cider": 1.25, "eval_runtime": 1.0},
    {"step": 4, "eval_loss": 2.25, "eval_cider": 0.5, "eval_runtime": 1.0},
]
SHARES = {"eval_category_accuracy": 0.5, "eval_exact": 0.0, "eval_attributes_accuracy": 0.75, "eval_no_change_f1": 1.0}
END = {"step": 4, "train_loss": 2.75, "train_runtime": 9.0}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws a history; the panels of the picture that was written, by the label of the vertical axis."""
    figures, save = [], Figure.savefig

    def savefig(self, *args, **kwargs):
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)

    def draw(history):
        draw_curves(history, tmp_path / "curves.png")
        panels = {axes.get_ylabel(): axes for axes in figures[-1].axes}
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.format == "PNG" and picture.size == (PANEL * len(panels), HEIGHT)
        assert {axes.get_xlabel() for axes in panels.values()} == {"step"}
        return panels

    return draw


def lines(axes):
    return {line.get_label(): [tuple(point) for point in line.get_xydata()] for line in axes.get_lines()}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else None


def test_all_panels(draw):
    history = [*TRAINING, *({**entry, **SHARES} for entry in EVALUATIONS), END]
    loss, cider, shares = draw(history).values()
    assert lines(loss) == {"training": [(1, 2.9), (2, 2.8), (3, 2.7), (4, 2.6)], "evaluation": [(2, 2.5), (4, 2.25)]}
    assert legend(loss) == ["training", "evaluation"] and loss.get_ylabel() == "loss per token"
    assert lines(cider) == {"CIDEr": [(2, 125.0), (4, 50.0)]} and legend(cider) is None
    assert cider.get_ylabel() == "CIDEr-D x 100, evaluation split"
    (best,) = cider.texts
    assert best.get_text() == "125.0" and best.xy == (2, 125.0)
    assert lines(shares) == {
        "kind of change": [(2, 0.5), (4, 0.5)],
        "equals a reference": [(2, 0.0), (4, 0.0)],
        "attribute words": [(2, 0.75), (4, 0.75)],
        "F1 of no change": [(2, 1.0), (4, 1.0)],
    }
    assert legend(shares) == list(lines(shares)) and shares.get_ylabel() == "share of the evaluation split"
    assert shares.get_ylim()[0] < 0 and shares.get_ylim()[1] > 1  # the marks at the ends are whole


def test_photographs_have_no_shares(draw):
    assert list(draw([*TRAINING, *EVALUATIONS])) == ["loss per token", "CIDEr-D x 100, evaluation split"]


def test_a_share_that_the_rows_do_not_have(draw):
    panels = draw([{**EVALUATIONS[0], "eval_exact": 0.25}])
    assert list(lines(panels["share of the evaluation split"])) == ["equals a reference"]
    assert legend(panels["share of the evaluation split"]) == ["equals a reference"]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (TRAINING, {"training": [(1, 2.9), (2, 2.8), (3, 2.7), (4, 2.6)]}),
        (TRAINING[:1], {"training": [(1, 2.9)]}),
        ([{"step": 3, "eval_loss": 2.5}], {"evaluation": [(3, 2.5)]}),
        ([END], {}),
        ([], {}),
    ],
)
def test_losses_alone(draw, history, expected):
    panels = draw(history)
    assert list(panels) == ["loss per token"] and lines(panels["loss per token"]) == expected
    assert legend(panels["loss per token"]) == (list(expected) or None)


def test_a_line_looks_the_same_whatever_else_there_is(draw):
    def color(history):
        return {line.get_label(): line.get_color() for line in draw(history)["loss per token"].get_lines()}

    both = color([*TRAINING, *EVALUATIONS])
    assert both["training"] != both["evaluation"]
    assert color(TRAINING) == {"training": both["training"]}
    assert color(EVALUATIONS) == {"evaluation": both["evaluation"]}


@pytest.mark.parametrize(("count", "marker"), [(40, "o"), (400, "None")])
def test_points_are_marked_while_there_are_few(draw, count, marker):
    history = [{"step": step, "loss": 1 / (step + 1)} for step in range(count)]
    training, evaluation = draw([*history, *EVALUATIONS])["loss per token"].get_lines()
    assert training.get_marker() == marker and evaluation.get_marker() == "o"


def test_an_older_picture_is_replaced(draw, tmp_path):
    draw(TRAINING)
    before = (tmp_path / "curves.png").read_bytes()
    draw([*TRAINING, *EVALUATIONS])
    assert (tmp_path / "curves.png").read_bytes() != before
