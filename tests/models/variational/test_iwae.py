"""The importance-weighted autoencoder: its bound, and its three gradients of it against each other."""

import math

import pytest
import torch
from torch import Tensor

from ancestral.interface import Batch, Binary, Event, InputError
from ancestral.models.variational.iwae import IWAE, Gradient
from ancestral.models.variational.vae import VAE


def model(gradient: Gradient = "importance_weighted", layers: int = 1, samples: int = 8) -> IWAE:
    torch.manual_seed(1)
    made = IWAE(
        Event((8,), Binary()), importance_samples=samples, gradient=gradient, latent_dim=2, hidden=[8], layers=layers
    ).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.5)
    return made


def data() -> Tensor:
    return torch.randint(2, (5, 8), generator=torch.Generator().manual_seed(0)).double()


def gradients(made: IWAE, seed: int) -> tuple[Tensor, Tensor]:
    """Of the encoder's and of all other parameters, for one draw of the noise."""
    torch.manual_seed(seed)
    named = dict(made.named_parameters())
    found = torch.autograd.grad(made.phases()[-1].loss(Batch(data())).total, list(named.values()))
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for name, gradient in zip(named, found, strict=True):
        sides[0 if name.startswith(("encoder", "latents.up")) else 1].append(gradient.flatten())
    return torch.cat(sides[0]), torch.cat(sides[1])


@pytest.mark.parametrize("layers", [1, 2])
def test_all_gradients_have_one_mean_and_the_doubly_reparametrized_one_the_least_variance(layers: int) -> None:
    repeats = 300
    found = {}
    for kind in ("importance_weighted", "doubly_reparametrized", "single_sample"):
        made = model(kind, layers)  # type: ignore[arg-type]
        both = [gradients(made, seed) for seed in range(repeats)]
        found[kind] = [torch.stack(side) for side in zip(*both, strict=True)]
    plain = found.pop("importance_weighted")
    for other in found.values():
        for mine, theirs in zip(plain, other, strict=True):
            # The same noise for both: the paired difference, along its own direction, is that of chance.
            difference = mine - theirs
            error = difference.std(0) / math.sqrt(repeats) + 1e-9
            assert float(((difference.mean(0) / error).square()).mean().sqrt()) < 1.5
    variance = {kind: float(side[0].var(0).sum()) for kind, side in found.items()}
    assert variance["doubly_reparametrized"] < 0.5 * float(plain[0].var(0).sum()) < variance["single_sample"]
    # The decoder's gradient is the same.
    torch.testing.assert_close(found["doubly_reparametrized"][1], plain[1])


@pytest.mark.parametrize("gradient", ["importance_weighted", "doubly_reparametrized"])
def test_parts_of_the_samples_give_the_gradient_of_all(gradient: Gradient) -> None:
    whole, parts = model(gradient, samples=6), model(gradient, samples=6)
    parts.rows_at_once = 10  # two samples of five rows
    drawn: list[Tensor] = []

    def noise(*shape: int, **kwargs: object) -> Tensor:
        return drawn.pop(0)

    every = torch.randn(6, 5, 2, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", noise)
        drawn[:] = [every]
        expected = torch.autograd.grad(whole.phases()[-1].loss(Batch(data())).total, list(whole.parameters()))
        # Each part draws once, and once more when it is computed again, the last part first.
        drawn[:] = [*every.split(2), *reversed(every.split(2))]
        found = torch.autograd.grad(parts.phases()[-1].loss(Batch(data())).total, list(parts.parameters()))
    torch.testing.assert_close(found, expected)


def test_one_sample_is_the_elbo_and_more_come_nearer() -> None:
    x, made = data(), model()
    vae = VAE(made.event, latent_dim=2, hidden=[8]).double()
    vae.load_state_dict(made.state_dict())

    def bound(samples: int, repeats: int = 400) -> float:
        with torch.no_grad():
            seeds = (torch.Generator().manual_seed(seed) for seed in range(repeats))
            values = [made.log_prob_lower_bound(x, importance_samples=samples, generator=seed) for seed in seeds]
        return float(torch.stack(values).mean())

    with torch.no_grad():
        elbo = float(vae.elbo(x, samples=4000, generator=torch.Generator().manual_seed(0)).mean())
    bounds = [bound(samples) for samples in (1, 2, 8, 64)]
    assert abs(bounds[0] - elbo) < 0.1
    assert bounds == sorted(bounds)


def test_a_warm_up_is_a_stage_of_its_own() -> None:
    made = IWAE(Event((8,), Binary()), importance_samples=50, warm_up=0.75, hidden=[8])
    first, second = made.phases()
    assert (first.starts, first.ends, second.starts, second.ends) == (0.0, 0.75, 0.75, 1.0)
    assert made.monitor_samples == 50


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"importance_samples": 0}, "importance_samples must be at least 1, got 0"),
        ({"warm_up": 1.0}, "warm_up must be a share"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"network": "transformer"}, "network must be 'mlp' or 'conv'"),
        ({"network": "conv"}, "network 'conv' cannot take"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        IWAE(Event((8,), Binary()), **settings)  # type: ignore[arg-type]
