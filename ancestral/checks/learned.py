"""What a short fit must bring: a translator that moves to the domain it names, an autoencoder that reconstructs, and
players each of which plays for itself."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ancestral.checks.losses import learns_by_gradients
from ancestral.checks.report import Property, needs, require
from ancestral.checks.subject import Subject
from ancestral.checks.training import train
from ancestral.interface import Adam, Batch, Critic, Decoder, Encoder, MeanDecoder, Phase, Sampler, Translator, seeded

#: Training steps after which it must be learned.
MOST_STEPS = 600


def translations_reach_their_domain(subject: Subject) -> None:
    model = copy.deepcopy(subject.original).train()
    assert isinstance(model, Translator)
    batch = _two_clusters(subject, subject.rows(64))
    assert batch.y is not None
    sides = [batch.x[batch.y == side] for side in (0, 1)]
    centres = [side.double().flatten(1).mean(0) for side in sides]

    @torch.no_grad()
    def places() -> list[list[float]]:
        """Where a side goes when it is translated to each domain: 0 is the centre of the first, 1 of the second."""
        axis = centres[1] - centres[0]
        return [
            [
                float(((model.translate(x, to=domain).double().flatten(1).mean(0) - centres[0]) @ axis) / (axis @ axis))
                for domain in model.domains
            ]
            for x in sides
        ]

    def arrived() -> bool:
        return all(first < 0.5 < second for first, second in places())

    train(subject, model, batch, MOST_STEPS, until=arrived)
    found = places()
    for side, source in enumerate(model.domains):
        for target in (1 - side, side):
            place, name = found[side][target], model.domains[target]
            require(
                (place > 0.5) == (target == 1),
                f"after {MOST_STEPS} training steps on two domains far apart, translate(x of {source!r}, to={name!r})"
                f" lies at {place:.2f} between the centres of {model.domains[0]!r} (0) and {model.domains[1]!r} (1): it"
                f" does not come near {name!r}; the domains are mixed up, or the translation is not trained",
            )


def autoencoders_reconstruct(subject: Subject) -> None:
    model = copy.deepcopy(subject.original).train()
    batch = _two_clusters(subject, subject.rows(64))
    assert isinstance(model, Encoder)
    assert isinstance(model, Decoder)

    def error() -> float:
        with torch.no_grad():
            z = model.encode(batch.x, context=batch.context).mean
            if isinstance(model, MeanDecoder):
                back = model.decode_mean(z, context=batch.context)
            else:
                back = model.decode(z, context=batch.context, generator=subject.generator())
        return float((back - batch.x).double().square().flatten(1).sum(1).mean())

    flat = batch.x.double().flatten(1)
    of_the_mean = float((flat - flat.mean(0)).square().sum(1).mean())
    train(subject, model, batch, MOST_STEPS, until=lambda: error() < 0.75 * of_the_mean)
    reached = error()
    require(
        reached < 0.75 * of_the_mean,
        f"after {MOST_STEPS} training steps on two clusters the squared error of decode(encode(x).mean) is"
        f" {reached:.4f}, where that of the mean of the data is {of_the_mean:.4f}: the decoder ignores the code, or no"
        " gradient reaches the encoder",
    )


def players_play_for_themselves(subject: Subject, steps: int = 150) -> None:
    """On data far from what the model draws: the critic's phases alone make it prefer the data, and from there those of
    the generator alone raise its value of the samples."""
    model, n = copy.deepcopy(subject.original).train(), subject.rows(64)
    assert isinstance(model, Critic)
    assert isinstance(model, Sampler)
    context, seed = subject.contexts(n), subject.generator().initial_seed()

    def draw() -> Tensor:
        return model.sample(n, context=context, generator=torch.Generator().manual_seed(seed))

    def values() -> tuple[float, float]:
        """The critic's mean value of the data and of samples."""
        with torch.no_grad():
            data, samples = (float(model.criticise(x, context=context).mean()) for x in (batch.x, draw()))
        return data, samples

    batch = Batch(_far_from(subject, draw()), None, context)
    critics: list[Phase] = []
    generators: list[Phase] = []
    for phase in model.phases():
        value = model.criticise(batch.x, context=context).sum()
        slopes = torch.autograd.grad(value, [p for p in phase.parameters if p.requires_grad], allow_unused=True)
        # An encoder that is trained with the generator may have a say in what the critic sees.
        others = all(slope is None for slope in slopes) or _moves(subject, phase, draw)
        side = generators if others else critics
        side.append(replace(phase, optimizer=Adam(0.01)))  # what a game needs for its balance is too slow here
    before = values()
    train(subject, model, batch, steps, phases=critics)
    data, samples = values()
    told = data > 0 > samples if model.criticism == "logit" else data > samples
    require(
        told and data - samples > before[0] - before[1],
        f"after {steps} steps of {_names(critics)} on data far from the samples criticise gives the data"
        f" {data:.4f} and the samples {samples:.4f} on average ({before[0]:.4f} and {before[1]:.4f} before): it must"
        f" come to prefer the data{', and a logit to tell them by its sign' if model.criticism == 'logit' else ''}; a"
        " loss or criticise has the wrong sign, or one of the two sides is forgotten",
    )
    if generators and subject.event.values is None:
        train(subject, model, batch, 20, phases=generators)
        reached = values()[1]
        require(
            reached > samples,
            f"20 steps of {_names(generators)} lowered the critic's mean value of the samples from {samples:.4f} to"
            f" {reached:.4f}: the generator's loss has the wrong sign",
        )


def _moves(subject: Subject, phase: Phase, draw: Callable[[], Tensor]) -> bool:
    """Whether the samples are others with other parameters of the phase."""
    before, kept = draw(), [parameter.detach().clone() for parameter in phase.parameters]
    with torch.no_grad(), seeded(subject.generator(), before.device):
        for parameter in phase.parameters:
            parameter.add_(torch.randn_like(parameter))
        moved = not torch.equal(draw(), before)
        for parameter, old in zip(phase.parameters, kept, strict=True):
            parameter.copy_(old)
    return moved


def _names(phases: Sequence[Phase]) -> str:
    return " and ".join(repr(phase.name) for phase in phases)


def _far_from(subject: Subject, samples: Tensor) -> Tensor:
    """Observations on the other side of the support, or four units away as the cores see them."""
    values, noise, centre = subject.event.values, subject.observations(len(samples)), samples.mean(0)
    if values is None:
        core = subject.original._to_core
        return subject.in_data_units(core(samples).mean(0) + 4 + 0.3 * core(noise))
    other = torch.where(centre < (values - 1) / 2, values - 1.0, 0.0).to(noise).expand_as(noise)
    with seeded(subject.generator(), noise.device):
        strays = torch.rand_like(noise) < 0.15
    return torch.where(strays, noise, other)


def _two_clusters(subject: Subject, n: int) -> Batch:
    """Two clusters far apart, the first half of the rows labelled 0 and in one, the second half 1 and in the other."""
    values, noise = subject.event.values, subject.observations(n)
    y = (torch.arange(n, device=noise.device) >= n // 2).long()
    side = y.view(-1, *[1] * len(subject.event.shape))
    if values is None:
        core = 2.0 * (2 * side - 1) + 0.3 * subject.original._to_core(noise)
        return Batch(subject.in_data_units(core), y, subject.contexts(n))
    with seeded(subject.generator(), noise.device):
        strays = torch.rand_like(noise) < 0.15
    return Batch(torch.where(strays, noise, ((values - 1) * side).to(noise.dtype)), y, subject.contexts(n))


def _two_players(subject: Subject) -> str | None:
    return needs(Critic, Sampler)(subject) or learns_by_gradients(subject)


def _autoencoder(subject: Subject) -> str | None:
    model = subject.original
    if reason := needs(Encoder, Decoder)(subject):
        return reason
    if isinstance(model, Decoder) and model.has_prior:
        return "its latents have a prior"
    return None if model.phases() else "it is not trained by gradients"


PROPERTIES = (
    Property("a translation reaches its domain", needs(Translator), translations_reach_their_domain),
    Property("an autoencoder reconstructs", _autoencoder, autoencoders_reconstruct),
    Property("each player plays for itself", _two_players, players_play_for_themselves),
)
