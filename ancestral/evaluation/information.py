"""What the latents of a bounded density hold: the KL of its posterior from its prior, and its share of the bound.

By bits back (Hinton & van Camp 1993; Chen et al. 2017, section 2.2) an ELBO is minus the length of a code,

    -ELBO = KL(q(z | x) || p(z)) + E_q[-ln p(x | z)],

of which the first part is sent through z and the second given it. Averaged over data the KL is the mutual information
of x and z under q, and how far the average q is from the prior: where it is zero the decoder ignores z.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches, in_digits, standard_error
from ancestral.interface import BoundedDensity, Encoder, InputError, JointDensity, Model, seeded

#: Rows at once: bounds the memory.
_ROWS = 64


@dataclass(frozen=True)
class LatentInformation:
    """Means over `n` rows in nats: KL(q(z | x) || p(z)) with its standard error, and the ELBO that it is a part of."""

    kl: float
    stderr: float
    elbo: float
    n: int
    #: Whether the data are discrete: minus the ELBO is then the length of a code.
    discrete: bool

    @property
    def share(self) -> float:
        """The KL over minus the ELBO; NaN where that is no length, of a density."""
        return self.kl / -self.elbo if self.discrete else math.nan

    def __str__(self) -> str:
        error = "" if math.isnan(self.stderr) else f" ± {in_digits(self.stderr)}"
        share = f", {100 * self.share:.1f} % of them" if self.discrete else ""
        return (
            f"KL(q(z|x) || p(z)) {in_digits(self.kl)}{error} of the {in_digits(-self.elbo)} nats of -ELBO{share},"
            f" n = {self.n}"
        )


@torch.no_grad()
def latent_information(
    model: Model,
    data: Split | Tensor,
    *,
    samples: int = 4,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> LatentInformation:
    """How many nats of `data` a model keeps in its latents, from draws of its encoder's q(z | x).

    Args:
        model: one that encodes, knows ln p(x, z) and has a bounded density: a VAE, a PixelVAE.
        data: rows of the model's event.
        samples: draws of z for each row.
        limit: take the first rows alone, at most so many.
        seed: of the draws.
        progress: show progress on stderr.

    Raises:
        InputError: for a model without such latents, and numbers below 1.
    """
    kl = kl_of_latents(model, data, samples=samples, limit=limit, seed=seed, progress=progress)
    assert isinstance(model, BoundedDensity)
    generator, elbos = torch.Generator().manual_seed(seed), []
    for batch in batches(data, _ROWS, limit, "decoding" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        elbos.append(model.elbo(x, samples=samples, context=context, generator=generator).double().cpu())
    return LatentInformation(
        kl=kl.mean().item(),
        stderr=standard_error(kl),
        elbo=torch.cat(elbos).mean().item(),
        n=len(kl),
        discrete=model.event.densities == 0,
    )


@torch.no_grad()
def kl_of_latents(
    model: Model,
    data: Split | Tensor,
    *,
    samples: int = 4,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Float[Tensor, " n"]:
    """KL(q(z | x) || p(z)) of every row in nats, (n,), float64, estimated from `samples` draws of q: the arguments and
    errors of `latent_information`."""
    if not isinstance(model, Encoder) or not isinstance(model, JointDensity) or not isinstance(model, BoundedDensity):
        raise InputError(
            f"{model.display_name} has no KL of its latents: that needs an encoder, ln p(x, z) and a bounded density,"
            " as a VAE has them"
        )
    if samples < 1 or (limit is not None and limit < 1):
        raise InputError(f"samples and limit must be at least 1, got {samples} and {limit}")
    generator, found = torch.Generator().manual_seed(seed), []
    for batch in batches(data, _ROWS, limit, "encoding" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        posterior = model.encode(x, context=context)
        with seeded(generator, model.device):
            draws = posterior.sample(torch.Size([samples]))
        prior = torch.stack([model.log_prior(z, context=context) for z in draws])
        found.append((posterior.log_prob(draws) - prior).mean(0).double().cpu())
    return torch.cat(found)
