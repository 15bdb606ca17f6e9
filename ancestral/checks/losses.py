"""What a loss promises: a gradient that is its derivative, and the value of what the model monitors."""

import copy
import math

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ancestral.checks.report import Broken, Property, require
from ancestral.checks.statistics import Z_LIMIT
from ancestral.checks.subject import Subject
from ancestral.interface import (
    Autoregressive,
    Batch,
    BoundedDensity,
    Categories,
    ExactDensity,
    Model,
    Phase,
    Shuffled,
    seeded,
)

LIKELIHOODS = ("log_prob", "elbo", "log_prob_lower_bound")


def gradients_are_derivatives(subject: Subject) -> None:
    """Central differences of every phase's loss along a random direction of its parameters, with the same noise; of a
    gradient that is the loss's in expectation alone, on average over much noise."""
    # Where noise is averaged over, each row of a batch has its own.
    exact = subject.original.gradient_differs is None
    start, batch = _started(subject, subject.rows(16 if exact else 256))
    for index, phase in enumerate(start.phases()):
        if not exact:
            _on_average(subject, start, index, batch)
            continue
        # A kink within a step, as of a rectifier, spoils one of them by chance.
        for step in (1e-5, 1e-4, 1e-6):
            seed = subject.generator().initial_seed()
            slope, derivative, typical = _slopes(start, index, batch, step, direction=seed, noise=seed)
            if abs(slope - derivative) <= 1e-5 * typical + 1e-8:
                break
        else:
            raise Broken(
                f"the gradient of phase {phase.name!r} is not the derivative of its loss: along a random direction it"
                f" gives the slope {slope:.6g} where the loss has {derivative:.6g}; a backward of one's own is wrong,"
                " or a part of the loss is detached or computed without gradients"
            )


def _started(subject: Subject, n: int) -> tuple[Model, Batch]:
    """The model in training, in float64, with what starts from the first batch settled, and a batch of `n` rows."""
    start = copy.deepcopy(subject.perturbed).double().train()
    batch = start.prepare(subject.batch(n))
    with seeded(subject.generator(), start.device):
        for phase in start.phases():
            phase.loss(batch)
    return start, batch


def _on_average(subject: Subject, start: Model, index: int, batch: Batch, repeats: int = 32) -> None:
    """Along a few directions each, since a bias may be at right angles to one."""
    for _ in range(3):
        seed = subject.generator().initial_seed()
        differences = torch.tensor(
            [
                slope - derivative
                for noise in range(repeats)
                for slope, derivative, _ in [_slopes(start, index, batch, 1e-5, direction=seed, noise=seed + noise)]
            ],
            dtype=torch.float64,
        )
        bias, stderr = float(differences.mean()), float(differences.std()) / math.sqrt(repeats)
        require(
            abs(bias) <= Z_LIMIT * stderr + 1e-8,
            f"the gradient of phase {start.phases()[index].name!r} is not that of its loss even in expectation: along a"
            f" random direction it is off by {bias:.6g} ± {stderr:.2g} on average over {repeats} draws of the noise",
        )


def _slopes(
    start: Model, index: int, batch: Batch, step: float, *, direction: int, noise: int
) -> tuple[float, float, float]:
    """The slope along a random direction of length 1 by autograd, by central differences, and its typical size; both
    random by these seeds."""
    size = sum(p.numel() for p in start.phases()[index].parameters)

    def moved(by: float) -> tuple[Tensor, Phase]:
        model = copy.deepcopy(start)  # buffers and counters start alike each time
        phase, own = model.phases()[index], torch.Generator().manual_seed(direction)
        model.requires_grad_(False)
        for parameter in phase.parameters:
            # However many parameters there are, a step is short: it crosses few kinks.
            way = torch.randn(parameter.shape, generator=own, dtype=parameter.dtype) / math.sqrt(size)
            parameter.add_(way.to(parameter.device), alpha=by)
            parameter.requires_grad_(True)
            ways.append(way.to(parameter.device))
        with seeded(torch.Generator().manual_seed(noise), model.device):
            return phase.loss(batch).total, phase

    ways: list[Tensor] = []
    loss, phase = moved(0.0)
    gradients = torch.autograd.grad(loss, list(phase.parameters), allow_unused=True)
    pairs = [(g.to_dense(), d) for g, d in zip(gradients, ways) if g is not None]
    slope = sum(float((g * d).sum()) for g, d in pairs)
    length = math.sqrt(sum(float(g.square().sum()) for g, _ in pairs))
    derivative = float(moved(step)[0].detach() - moved(-step)[0].detach()) / (2 * step)
    return slope, derivative, length / math.sqrt(size)


def losses_are_means_over_rows(subject: Subject, repeats: int = 32, n: int = 8) -> None:
    """The loss of a batch is in expectation the mean of those of its parts: rows count alike, each by itself, however
    many there are."""
    (start, batch), size = _started(subject, n), 2
    for index, phase in enumerate(start.phases()):
        _rows_add_up(subject, start, index, batch)
        pairs = []
        for _ in range(repeats):
            losses = copy.deepcopy(start).phases()[index].loss  # buffers and counters start alike each time
            with seeded(subject.generator(), start.device):
                whole = float(losses(batch).total.detach())
                parts = [float(losses(_rows(batch, first, size)).total.detach()) for first in range(0, n, size)]
            pairs.append((whole, sum(parts) / len(parts)))
        wholes, means = torch.tensor(pairs, dtype=torch.float64).T
        off, stderr = float((wholes - means).mean()), float((wholes - means).std()) / math.sqrt(repeats)
        require(
            abs(off) <= Z_LIMIT * stderr + 1e-8 * (1 + float(means.abs().mean())),
            f"the loss of phase {phase.name!r} is no mean over rows: of {n} rows it is {float(wholes.mean()):.6g} where"
            f" those of {size} rows each have the mean {float(means.mean()):.6g}"
            + (f" ± {stderr:.2g}" if stderr else "")
            + "; it is a sum over the batch, it is divided by something else than the number of rows, or one row's"
            " data are joined with another's",
        )


def _rows_add_up(subject: Subject, start: Model, index: int, batch: Batch) -> None:
    """By how much a change of the first row moves a loss is the same whatever the other rows are, with the same
    noise."""
    if isinstance(start.event.support, Categories):
        return  # what is drawn for a row may depend on the others, as by its place among the tokens that are kept
    others, seed = start.prepare(subject.batch(len(batch.x))), subject.generator().initial_seed()
    first = torch.arange(len(batch.x), device=batch.x.device) == 0
    found, ends = [], []
    for changed in (first & ~first, first, ~first, first | ~first):
        with seeded(torch.Generator().manual_seed(seed), start.device):
            loss = copy.deepcopy(start).phases()[index].loss(_mixed(batch, others, changed)).total
            found.append(float(loss.detach()))
            ends.append(torch.rand(1, device=start.device))
    if not all(torch.equal(end, ends[0]) for end in ends):
        return  # it draws more for some data than for others
    alone, beside = found[1] - found[0], found[3] - found[2]
    require(
        abs(alone - beside) <= 1e-8 * (1 + max(map(abs, found))),
        f"the loss of phase {start.phases()[index].name!r} joins the rows of its batch: a change of row 0 moves it by"
        f" {alone:.6g}, and by {beside:.6g} where the other rows are different",
    )


def _mixed(batch: Batch, others: Batch, changed: Tensor) -> Batch:
    def mix(one: Tensor | None, other: Tensor | None) -> Tensor | None:
        if one is None or other is None:
            return one
        return torch.where(changed.view(-1, *[1] * (one.dim() - 1)), other, one)

    x = mix(batch.x, others.x)
    assert x is not None
    return Batch(x, mix(batch.y, others.y), mix(batch.context, others.context))


def _rows(batch: Batch, first: int, size: int) -> Batch:
    of = slice(first, first + size)
    return Batch(
        batch.x[of],
        None if batch.y is None else batch.y[of],
        None if batch.context is None else batch.context[of],
    )


def loss_is_the_monitor(subject: Subject, repeats: int = 256) -> None:
    """The first phase's loss is minus the mean of what is monitored, in the units that the cores see: to the last digit
    where both use their noise in the same way, otherwise in expectation."""
    model, plain = copy.deepcopy(subject.far), subject.batch(subject.rows(16))
    phase = model.phases()[0]
    batch = model.prepare(plain)
    orders = len(model.orders) if isinstance(model, Autoregressive) else 1

    def both() -> tuple[float, float]:
        seed = subject.generator().initial_seed()
        with seeded(torch.Generator().manual_seed(seed), model.device):
            loss = float(phase.loss(batch).total.detach())
        with torch.no_grad():
            return loss, -float(monitored(model, plain, torch.Generator().manual_seed(seed)).mean() + model.log_volume)

    loss, target = both()
    if _equal(loss, target):
        return
    # A model of several orders may train them in turn, and counts its steps in training alone.
    model.training = orders > 1
    rounds = [[both() for _ in range(orders)] for _ in range(max(8, repeats // orders))]
    model.training = False
    # Where each round takes every order once, rounds do not differ.
    losses, targets = torch.tensor(rounds, dtype=torch.float64).mean(1).T
    if orders > 1:
        targets[:] = _mean_over_orders(model, plain)
    loss, target = float(losses.mean()), float(targets.mean())
    stderr = float((losses - targets).std()) / math.sqrt(len(rounds))
    require(
        _equal(loss, target) or abs(loss - target) <= Z_LIMIT * stderr,
        f"the loss of phase {phase.name!r} is {loss:.4f} where minus the mean {model.monitor} is"
        f" {target:.4f} ± {stderr:.4f} nats: {_diagnosis(subject, loss, target)}. A loss that differs by design says so"
        " in `loss_differs`",
    )


def monitored(model: Model, batch: Batch, generator: torch.Generator) -> Tensor:
    """What the model monitors, for each observation of a batch in data space, (batch,) nats."""
    if model.monitor == "log_prob":
        assert isinstance(model, ExactDensity)
        return model.log_prob(batch.x, context=batch.context)
    assert isinstance(model, BoundedDensity)
    if model.monitor == "elbo":
        return model.elbo(batch.x, context=batch.context, generator=generator)
    return model.log_prob_lower_bound(
        batch.x, importance_samples=model.monitor_samples, context=batch.context, generator=generator
    )


def _mean_over_orders(model: Model, batch: Batch) -> Tensor:
    assert isinstance(model, Autoregressive)
    with torch.no_grad():
        per_order = model.conditional_log_probs(batch.x, context=batch.context).flatten(2).sum(2)
    return -(per_order.mean() + model.log_volume)


def _equal(loss: float, target: float) -> bool:
    return abs(loss - target) <= 1e-6 * (1 + abs(target))


def _diagnosis(subject: Subject, loss: float, target: float) -> str:
    guesses = {
        "the loss has the wrong sign": -target,
        "it is a mean over dimensions where a sum belongs": target / subject.event.size,
        "it is a sum over the batch where a mean belongs": target * subject.rows(16),
        "it counts the standardisation of the data, whose log-determinant the cores never see": target
        + float(subject.original.log_volume),
    }
    for fault, guess in guesses.items():
        if abs(loss - guess) <= 0.02 * abs(target - guess):
            return fault
    return "a KL is forgotten or scaled, a mean stands where a sum belongs, or it trains only one of several orders"


def learns_by_gradients(subject: Subject) -> str | None:
    return "it has no phases" if not subject.perturbed.phases() else None


def _trains_its_monitor(subject: Subject) -> str | None:
    if subject.original.monitor not in LIKELIHOODS:
        return "it monitors no likelihood"
    if subject.original.loss_differs is not None:
        return f"its loss differs by design: {subject.original.loss_differs}"
    return learns_by_gradients(subject)


def _adds_up_rows(subject: Subject) -> str | None:
    model = subject.original
    if model.monitor in LIKELIHOODS:
        return "its loss is held against what it monitors"
    if not isinstance(model.batching, Shuffled):
        return "its rows are not alike: they come in a mix"
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return "batch norm joins its rows in training"
    return learns_by_gradients(subject)


GRADIENTS = (Property("a gradient is the derivative of its loss", learns_by_gradients, gradients_are_derivatives),)

VALUES = (
    Property("the loss is minus the monitored likelihood", _trains_its_monitor, loss_is_the_monitor, by_chance=True),
)

ROWS = (Property("a loss is a mean over rows", _adds_up_rows, losses_are_means_over_rows, by_chance=True),)
