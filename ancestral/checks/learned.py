"""What a short fit must bring: a translator that moves to the domain it names, an autoencoder that reconstructs."""

import copy

import torch

from ancestral.checks.report import Property, needs, require
from ancestral.checks.subject import Subject, number_of_values
from ancestral.checks.training import train
from ancestral.interface import Batch, Decoder, Encoder, MeanDecoder, Translator, seeded

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


def _two_clusters(subject: Subject, n: int) -> Batch:
    """Two clusters far apart, the first half of the rows labelled 0 and in one, the second half 1 and in the other."""
    values, noise = number_of_values(subject.event), subject.observations(n)
    y = (torch.arange(n, device=noise.device) >= n // 2).long()
    side = y.view(-1, *[1] * len(subject.event.shape))
    if values is None:
        return Batch(2.0 * (2 * side - 1) + 0.3 * noise, y, subject.contexts(n))
    with seeded(subject.generator(), noise.device):
        strays = torch.rand_like(noise) < 0.15
    return Batch(torch.where(strays, noise, ((values - 1) * side).to(noise.dtype)), y, subject.contexts(n))


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
)
