"""The linear autoencoder finds the subspace of principal component analysis (Baldi & Hornik 1989, fact 4)."""

import torch

from ancestral.interface import Batch, Event, Real
from ancestral.models.linear.linear_autoencoder import LinearAutoencoder


def test_its_decoder_spans_the_leading_principal_components() -> None:
    torch.manual_seed(0)
    size, latents = 6, 3
    spread = torch.tensor([3.0, 2.2, 1.6, 0.9, 0.6, 0.3], dtype=torch.float64)
    x = torch.randn(400, size, dtype=torch.float64) * spread
    x = x @ torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0] + 2.0
    model = LinearAutoencoder(Event((size,), Real()), latent_dim=latents).double()
    (phase,) = model.phases()
    optimizer = torch.optim.LBFGS(phase.parameters, max_iter=400, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = phase.loss(Batch(x)).total
        total.backward()
        return total

    optimizer.step(closure)
    components = torch.linalg.svd(x - x.mean(0)).Vh[:latents].T
    learned = torch.linalg.qr(model.decoder.weight.detach())[0]
    cosines = torch.linalg.svdvals(components.T @ learned)
    sines = torch.linalg.matrix_norm(learned - components @ (components.T @ learned), 2)
    assert cosines.min() > 1 - 1e-6
    assert sines < 1e-3  # the largest principal angle, in radians
    # The loss is the variance that the discarded components hold.
    lost = torch.linalg.svdvals(x - x.mean(0))[latents:].square().sum() / len(x)
    torch.testing.assert_close(phase.loss(Batch(x)).total.detach(), lost, rtol=1e-6, atol=0)
