"""What training promises: phases that own their parameters, gradients, likelihoods that rise."""

import copy
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ancestral.checks import losses
from ancestral.checks.losses import LIKELIHOODS, learns_by_gradients, monitored
from ancestral.checks.report import Property, always, needs, require
from ancestral.checks.subject import Subject
from ancestral.interface import (
    Batch,
    BoundedDensity,
    Classifier,
    ExactDensity,
    Model,
    Phase,
    seeded,
)


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
    wanted: type[Model] | None = {
        "log_prob": ExactDensity,
        "elbo": BoundedDensity,
        "log_prob_lower_bound": BoundedDensity,
        "accuracy": Classifier,
    }.get(model.monitor or "")
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


def training_state_survives(subject: Subject) -> None:
    """What training moves is in the model's state or in its `training_state`, and keeps its shape: a run that is
    resumed must find it."""
    model = copy.deepcopy(subject.perturbed).train()
    with seeded(subject.generator(), model.device):
        for phase in model.phases():  # settles what starts from the first batch
            phase.loss(model.prepare(subject.batch(subject.rows(16))))
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        for phase in model.phases():
            phase.loss(model.prepare(subject.batch(subject.rows(16))))
            if phase.after_step is not None:
                phase.after_step()
    apart = {id(tensor) for tensor in model.training_state().values()}
    saved = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        old = before.get(name)
        if old is not None and old.shape == buffer.shape and torch.equal(buffer, old):
            continue
        fixed = old is not None and old.shape == buffer.shape
        require(fixed, f"training changes the shape of the buffer {name}, so that no resumed run can take it up")
        require(
            name in saved or id(buffer) in apart,
            f"training moves the buffer {name}, which is neither saved with the model nor in its training_state: a run"
            " that is resumed begins with another one",
        )
        require(
            not (name in saved and id(buffer) in apart),
            f"the buffer {name} is in training_state and saved with the model, too: register it with persistent=False",
        )


def training_raises_the_likelihood(subject: Subject, steps: int = 25) -> None:
    model, batch = _on_one_batch(subject)
    before = _mean_monitored(subject, model, batch)
    train(subject, model, batch, steps)
    after = _mean_monitored(subject, model, batch)
    # The bound is estimated with the same noise before and after; batch statistics may lag a little.
    require(
        after - before > -1e-3 * (1 + abs(before)),
        f"{steps} training steps on one batch lowered its {model.monitor} from {before:.4f} to {after:.4f} nats: the"
        f" loss has the wrong sign, or is not a bound of the likelihood that {model.monitor} reports",
    )


def training_raises_the_labels(subject: Subject, steps: int = 25) -> None:
    model, batch = _on_one_batch(subject)
    assert isinstance(model, Classifier)
    assert batch.y is not None
    labelled = batch.y >= 0
    before = _mean_of_labels(model, batch, labelled)
    train(subject, model, batch, steps)
    after = _mean_of_labels(model, batch, labelled)
    require(
        after - before > -1e-3 * (1 + abs(before)),
        f"{steps} training steps on one batch lowered the mean ln p(y | x) of its labels from {before:.4f} to"
        f" {after:.4f} nats: the loss of the labels has the wrong sign, or class_log_probs numbers them differently",
    )


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
    return {parameter: parameter.grad.to_dense() for parameter in phase.parameters if parameter.grad is not None}


def _on_one_batch(subject: Subject) -> tuple[Model, Batch]:
    """A model to train, its batch statistics settled on one batch, and the batch in data space."""
    model = copy.deepcopy(subject.perturbed).train()
    batch, phases = subject.batch(subject.rows(32)), model.phases()
    with seeded(subject.generator(), model.device):
        first = [buffer.clone() for buffer in model.buffers()]
        for step in range(50):
            for phase in phases:
                phase.loss(model.prepare(batch))
            if step == 2 and all(map(torch.equal, first, model.buffers())):
                break
    return model, batch


def train(
    subject: Subject,
    model: Model,
    batch: Batch,
    steps: int,
    until: Callable[[], bool] | None = None,
    phases: Sequence[Phase] | None = None,
) -> None:
    """Steps on one batch as the engine makes them, every phase of the model, or these, with its own optimizer and at
    its own time; no more of them once `until` holds, which is asked now and then."""
    phases, batch = model.phases() if phases is None else phases, model.prepare(batch)
    optimizers = [phase.optimizer.build(list(phase.parameters)) for phase in phases]
    with seeded(subject.generator(), model.device):
        for step in range(steps):
            if until is not None and step % 20 == 19 and until():
                return
            for phase, optimizer in zip(phases, optimizers, strict=True):
                if step % phase.every or not phase.starts <= step / steps < phase.ends:
                    continue
                optimizer.zero_grad()
                phase.loss(batch).total.backward(inputs=[p for p in phase.parameters if p.requires_grad])
                optimizer.step()
                if phase.after_step is not None:
                    phase.after_step()


@torch.no_grad()
def _mean_monitored(subject: Subject, model: Model, batch: Batch) -> float:
    context = None if batch.context is None else batch.context.repeat_interleave(16, 0)
    rows = Batch(batch.x.repeat_interleave(16, 0), None, context)
    return float(monitored(model, rows, torch.Generator().manual_seed(subject.seed)).mean())


@torch.no_grad()
def _mean_of_labels(model: Classifier, batch: Batch, labelled: Tensor) -> float:
    assert batch.y is not None
    log_probs = model.class_log_probs(batch.x[labelled])
    return float(log_probs.gather(1, batch.y[labelled, None].to(log_probs.device)).mean())


def _names(model: Model) -> dict[nn.Parameter, str]:
    return {parameter: name for name, parameter in model.named_parameters()}


def _one_likelihood_phase(subject: Subject) -> str | None:
    if subject.original.monitor not in LIKELIHOODS:
        return "it monitors no likelihood"
    count = len(subject.perturbed.phases())
    return None if count == 1 else f"it has {count} phases"


def _learns_labels(subject: Subject) -> str | None:
    return needs(Classifier)(subject) or learns_by_gradients(subject)


PHASES = (
    Property("each parameter belongs to one phase", always, phases_share_out_the_parameters),
    Property("the monitored quantity exists", always, monitor_exists),
    Property("every parameter gets a gradient", learns_by_gradients, every_parameter_gets_a_gradient),
    Property("a phase changes only its own parameters", learns_by_gradients, phases_change_only_their_own),
    *losses.GRADIENTS,
)

LEARNING = (
    *losses.VALUES,
    Property("training raises the likelihood", _one_likelihood_phase, training_raises_the_likelihood),
    Property("training raises the probability of the labels", _learns_labels, training_raises_the_labels),
)

RESUMPTION = (Property("what training moves survives a resumption", learns_by_gradients, training_state_survives),)
