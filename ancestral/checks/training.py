"""What training promises: phases that own their parameters, gradients, likelihoods that rise, EM that never falls."""

import copy
import itertools
import math

import torch
from torch import Tensor, nn

from ancestral.checks.report import Property, always, needs, require
from ancestral.checks.statistics import log_density
from ancestral.checks.subject import Subject
from ancestral.interface import BoundedDensity, ClosedFormFit, ExactDensity, InputError, Model, Phase, seeded


def phases_share_out_the_parameters(subject: Subject) -> None:
    model = copy.deepcopy(subject.original)
    phases, names = model.phases(), _names(model)
    titles = [phase.name for phase in phases]
    require(len(set(titles)) == len(titles), f"two phases have the same name: {titles}")
    owner: dict[nn.Parameter, str] = {}
    for phase in phases:
        require(phase.every >= 1, f"phase {phase.name!r} has every = {phase.every}; it must be at least 1")
        require(len(phase.parameters) > 0, f"phase {phase.name!r} has no parameters")
        for parameter in phase.parameters:
            name = names.get(parameter)
            require(
                name is not None,
                f"phase {phase.name!r} trains a tensor that is no parameter of the model: assign its module to self",
            )
            require(
                parameter not in owner,
                f"phase {phase.name!r} touches a foreign parameter: {name} belongs to phase {owner.get(parameter)!r};"
                " each parameter belongs to exactly one phase",
            )
            owner[parameter] = phase.name
    orphans = [name for parameter, name in names.items() if parameter not in owner and parameter.requires_grad]
    require(not orphans, f"these parameters are never trained, no phase lists them: {', '.join(orphans)}")


def monitor_exists(subject: Subject) -> None:
    model = subject.original
    wanted = {"log_prob": ExactDensity, "elbo": BoundedDensity}.get(model.monitor or "")
    require(
        wanted is None or isinstance(model, wanted),
        f"monitor is {model.monitor!r} but {subject.name} is no {wanted.__name__ if wanted else ''}",
    )


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    model = copy.deepcopy(subject.perturbed).train()
    reached: set[nn.Parameter] = set()
    phases, names = model.phases(), _names(model)
    with seeded(subject.generator(), model.device):
        for phase, _ in itertools.product(phases, range(3)):  # three draws: a unit may rest in one of them
            for parameter, gradient in _gradients(subject, model, phase).items():
                require(
                    bool(torch.isfinite(gradient).all()),
                    f"the gradient of {names[parameter]} in phase {phase.name!r} is not finite",
                )
                if bool((gradient != 0).any()):
                    reached.add(parameter)
    dead = [names[parameter] for phase in phases for parameter in phase.parameters if parameter not in reached]
    require(
        not dead,
        f"no gradient reaches {', '.join(dead)}: unused in the loss, detached from it, or masked out;"
        " remove what is not used",
    )


def phases_change_only_their_own(subject: Subject) -> None:
    for index in range(len(subject.perturbed.phases())):
        model = copy.deepcopy(subject.perturbed).train()
        phase, names = model.phases()[index], _names(model)
        before = {parameter: parameter.detach().clone() for parameter in names}
        with seeded(subject.generator(), model.device):
            _gradients(subject, model, phase)
            phase.optimizer.build(list(phase.parameters)).step()
            if phase.after_step is not None:
                phase.after_step()
        changed = {parameter for parameter, old in before.items() if not torch.equal(parameter, old)}
        own = set(phase.parameters)
        foreign = [names[parameter] for parameter in changed - own]
        require(
            not foreign,
            f"phase {phase.name!r} touches foreign parameters: a step of it changed {', '.join(sorted(foreign))},"
            " which it does not list; look for in-place changes in its loss or after_step",
        )
        require(bool(changed & own), f"a step of phase {phase.name!r} changed none of its parameters")


def training_raises_the_likelihood(subject: Subject, steps: int = 25) -> None:
    model = copy.deepcopy(subject.perturbed).train()
    (phase,) = model.phases()
    batch = model.prepare(subject.batch(subject.rows(32)))
    with seeded(subject.generator(), model.device):
        # Settles batch statistics, and starts that depend on data.
        first = [buffer.clone() for buffer in model.buffers()]
        for step in range(50):
            phase.loss(batch)
            if step == 2 and all(map(torch.equal, first, model.buffers())):
                break
        before = _likelihood(subject, model, batch.x, batch.context)
        optimizer = phase.optimizer.build(list(phase.parameters))
        for _ in range(steps):
            optimizer.zero_grad()
            phase.loss(batch).total.backward()
            optimizer.step()
            if phase.after_step is not None:
                phase.after_step()
        after = _likelihood(subject, model, batch.x, batch.context)
    # The bound is estimated with the same noise before and after; batch statistics may lag a little.
    require(
        float((after - before).mean()) > -1e-3 * (1 + float(before.mean().abs())),
        f"{steps} training steps on one batch lowered its {model.monitor} from {float(before.mean()):.4f} to"
        f" {float(after.mean()):.4f} nats: the loss has the wrong sign, or is not a bound of the likelihood that"
        f" {model.monitor} reports",
    )


def fits_never_fall(subject: Subject) -> None:
    model = copy.deepcopy(subject.original).double()
    assert isinstance(model, ClosedFormFit)
    x = subject.clustered(256, torch.float64)
    model.fit_start(x, generator=torch.Generator().manual_seed(subject.seed))
    values: list[tuple[str, float]] = []
    for step in range(10):
        before = _mean_log_prob(model, x)
        result = model.fit_step(x)
        values += [(f"{name} of step {step + 1}", value) for name, value in result.trace]
        values.append((f"step {step + 1}", result.objective))
        # ln p before <= F(theta, q) after the M step <= ln p after it (Neal & Hinton 1998).
        after, slack = _mean_log_prob(model, x), 1e-5 * (1 + abs(result.objective))
        if before is not None and after is not None:
            require(
                before - slack <= result.objective <= after + slack,
                f"fit_step reports the objective {result.objective:.6f}, outside of the mean log_prob before and after"
                f" it, [{before:.6f}, {after:.6f}]",
            )
    for (_, low), (name, high) in itertools.pairwise(values):
        require(math.isfinite(high), f"the objective of {name} is {high}")
        require(
            high >= low - 1e-5 * (1 + abs(low)),
            f"the objective fell from {low:.6f} to {high:.6f} at {name}: EM never falls; a responsibility, a mean or a"
            " covariance is wrong, or the objective is not the one that the steps climb",
        )


def fit_starts_from_its_seed(subject: Subject) -> None:
    x = subject.clustered(64)
    copies = [copy.deepcopy(subject.original) for _ in range(2)]
    for model in copies:
        assert isinstance(model, ClosedFormFit)
        model.fit_start(x, generator=torch.Generator().manual_seed(subject.seed))
        model.fit_step(x)
    first, second = (model.state_dict() for model in copies)
    changed = [name for name, value in first.items() if not torch.equal(value, second[name])]
    require(not changed, f"the same seed gave two different fits: {', '.join(changed)}")


def missing_values_are_declared(subject: Subject) -> None:
    model = copy.deepcopy(subject.original)
    assert isinstance(model, ClosedFormFit)
    x = subject.clustered(64)
    x.view(-1)[:: 2 * subject.event.size + 1] = math.nan
    if model.accepts_missing:
        model.fit_start(x, generator=subject.generator())
        objective = model.fit_step(x).objective
        require(math.isfinite(objective), f"accepts_missing is declared but NaNs in data give objective {objective}")
        return
    try:
        model.fit_start(x, generator=subject.generator())
    except InputError:
        return
    require(False, "fit_start accepts NaN without declaring accepts_missing")


def _gradients(subject: Subject, model: Model, phase: Phase) -> dict[nn.Parameter, Tensor]:
    """One backward pass of a phase as the engine runs it: every other parameter frozen."""
    own = set(phase.parameters)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in own)
        parameter.grad = None
    losses = phase.loss(model.prepare(subject.batch(subject.rows(16))))
    title = f"the loss of phase {phase.name!r}"
    require(losses.total.dim() == 0, f"{title} must be a scalar, got shape {tuple(losses.total.shape)}")
    require(bool(torch.isfinite(losses.total)), f"{title} is {float(losses.total.detach())}")
    require(losses.total.requires_grad, f"{title} does not depend on the parameters that the phase lists")
    losses.total.backward()
    return {parameter: parameter.grad for parameter in phase.parameters if parameter.grad is not None}


def _mean_log_prob(model: Model, x: Tensor) -> float | None:
    return float(model.log_prob(x).mean()) if isinstance(model, ExactDensity) else None


def _likelihood(subject: Subject, model: Model, x: Tensor, context: Tensor | None) -> Tensor:
    generator = torch.Generator().manual_seed(subject.seed)
    if isinstance(model, ExactDensity):
        return log_density(model, x, context, generator)
    assert isinstance(model, BoundedDensity)
    with torch.no_grad():
        return model.elbo(x, samples=16, context=context, generator=generator)


def _names(model: Model) -> dict[nn.Parameter, str]:
    return {parameter: name for name, parameter in model.named_parameters()}


def _learns_by_gradients(subject: Subject) -> str | None:
    return "it has no phases" if not subject.perturbed.phases() else None


def _one_likelihood_phase(subject: Subject) -> str | None:
    if subject.original.monitor not in ("log_prob", "elbo"):
        return "it monitors no likelihood"
    count = len(subject.perturbed.phases())
    return None if count == 1 else f"it has {count} phases"


PHASES = (
    Property("each parameter belongs to one phase", always, phases_share_out_the_parameters),
    Property("the monitored quantity exists", always, monitor_exists),
    Property("every parameter gets a gradient", _learns_by_gradients, every_parameter_gets_a_gradient),
    Property("a phase changes only its own parameters", _learns_by_gradients, phases_change_only_their_own),
)

LEARNING = (
    Property("training raises the likelihood", _one_likelihood_phase, training_raises_the_likelihood),
    Property("a fit's objective never falls", needs(ClosedFormFit), fits_never_fall),
    Property("a fit starts from its seed", needs(ClosedFormFit), fit_starts_from_its_seed),
    Property("missing values are declared", needs(ClosedFormFit), missing_values_are_declared),
)
