"""A picture of a training run: loss and scores over its steps."""

import os
from collections.abc import Sequence

SHARES = {
    "eval_category_accuracy": "kind of change",
    "eval_exact": "equals a reference",
    "eval_attributes_accuracy": "attribute words",
    "eval_no_change_f1": "F1 of no change",
}


def draw_curves(history: Sequence[dict], path: str | os.PathLike) -> None:
    """
    Draws the loss of training and evaluation, CIDEr on the evaluation split, and the shares that the embedded scenes
    have as well, each over the steps.

    Args:
        history (`Sequence[dict]`): `log_history` of a Trainer: entries with `step` and `loss` or `eval_...`.
        path (`str` or `os.PathLike`): of the PNG, which is replaced.
    """
    from matplotlib.figure import Figure

    def points(name, unit=1.0):
        return [(entry["step"], entry[name] * unit) for entry in history if name in entry]

    loss = {"training": points("loss"), "evaluation": points("eval_loss")}
    cider = points("eval_cider", 100)
    shares = {label: points(name) for name, label in SHARES.items()}
    panels = [any(loss.values()) or not cider, bool(cider), any(shares.values())]
    figure = Figure(figsize=(5.2 * sum(panels), 3.8), layout="constrained")
    places = iter(figure.subplots(1, sum(panels), sharex=True, squeeze=False)[0])
    if panels[0]:
        _lines(next(places), loss, "loss per token")
    if panels[1]:
        axes = next(places)
        _lines(axes, {"CIDEr": cider}, "CIDEr-D x 100, evaluation split")
        best = max(cider, key=lambda point: point[1])
        axes.annotate(f"{best[1]:.1f}", best, textcoords="offset points", xytext=(0, 6), ha="center")
        axes.margins(x=0.08, y=0.12)  # room for the number
    if panels[2]:
        axes = next(places)
        _lines(axes, shares, "share of the evaluation split")
        axes.set_ylim(-0.03, 1.03)  # marks at 0 and 1 are seen whole
    figure.savefig(path, dpi=110, format="png")


def _lines(axes, lines, label):
    for number, (name, points) in enumerate(lines.items()):
        if points:
            marker = "o" if len(points) < 60 else None
            axes.plot(*zip(*points, strict=True), f"C{number}", label=name, marker=marker, markersize=3)
    axes.set(xlabel="step", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    if len(lines) > 1 and any(lines.values()):
        axes.legend(fontsize="small")
