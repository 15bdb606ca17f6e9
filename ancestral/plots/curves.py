"""Quantities over training."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

_DPI = 100
#: In inches: still legible where a small screen shrinks it.
_SIZE = (5.4, 3.3)


def learning_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str = "epoch",
    y_label: str = "validation, bits/dim",
) -> Figure:
    """One line a model: name -> [(x, y), ...]. The axis is cut to what the later halves span, so that starts don't
    flatten the rest."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    late: list[float] = []
    for name, points in curves.items():
        if not points:
            continue
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, label=name, linewidth=1.5, marker="o" if len(points) == 1 else None)
        late += [*ys[len(ys) // 4 :], ys[-1]]
    if late and max(late) > min(late):
        margin = 0.05 * (max(late) - min(late))
        axes.set_ylim(min(late) - margin, max(late) + margin)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if late:
        axes.legend(frameon=False)
    return figure


def em_trace(trace: Sequence[tuple[str, float]], *, y_label: str = "objective F, nats per example") -> Figure:
    """The objective after each half-step of EM (or another alternating fit), as a staircase with a mark per kind."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    values = [value for _, value in trace]
    axes.plot(range(len(values)), values, linewidth=1, color="0.7", zorder=1)
    for name in dict.fromkeys(step for step, _ in trace):
        at = [i for i, (step, _) in enumerate(trace) if step == name]
        axes.scatter(
            at,
            [values[i] for i in at],
            s=10,
            label="after each step" if name == "step" else f"after the {name} step",
            zorder=2,
        )
    axes.set_xlabel("half-step")
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if trace:
        axes.legend(frameon=False)
    return figure
