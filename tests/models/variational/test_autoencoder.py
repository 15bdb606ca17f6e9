"""Autoencoders against principal component analysis, whose subspace the linear one must find."""

import torch
from torch.nn import functional as F

from ancestral.interface import Batch, Binary, Event, Levels, Real
from ancestral.models.variational.autoencoder import Autoencoder


def test_a_bent_curve_comes_back_better_than_from_any_line() -> None:
    torch.manual_seed(0)
    t = torch.rand(256, 1) * 6
    x = torch.cat([t.sin(), t.cos(), (2 * t).sin()], 1)
    model = build_and_train(x, steps=800)
    back = model.decode_mean(model.encode(x).mean)
    centred = x - x.mean(0)
    best_line = float(torch.linalg.svdvals(centred)[1:].square().sum()) / len(x)
    assert float((back - x).square().sum(1).mean().detach()) < 0.1 * best_line


def build_and_train(x: torch.Tensor, steps: int) -> Autoencoder:
    model = Autoencoder(Event((3,), Real()), latent_dim=1, hidden=[64, 64], activation="tanh")
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        phase.loss(Batch(x)).total.backward()
        optimizer.step()
    return model.eval()


def test_the_loss_is_the_error_of_what_comes_back() -> None:
    torch.manual_seed(0)
    levels = Autoencoder(Event((4,), Levels(5)), latent_dim=2, hidden=[8])
    x = torch.randint(5, (6, 4)).float()
    # Levels lie on [-1, 1] for the network: a level is half a unit.
    squares = ((levels.decode_mean(levels.encode(x).mean) - x) / 2).square().sum(1).mean()
    torch.testing.assert_close(levels.phases()[0].loss(Batch(x)).total, squares)
    binary = Autoencoder(Event((4,), Binary()), latent_dim=2, hidden=[8])
    bits = (x > 2).float()
    entropy = F.binary_cross_entropy(binary.decode_mean(binary.encode(bits).mean), bits, reduction="none")
    torch.testing.assert_close(binary.phases()[0].loss(Batch(bits)).total, entropy.sum(1).mean())
