"""The two losses of a generator and a network that judges it (Goodfellow et al. 2014, "Generative adversarial nets").

The discriminator's output is a logit, ln D(x) - ln(1 - D(x)); at its optimum that is ln p_data(x) - ln p_G(x). With it,
-ln D = softplus(-logit) and -ln(1 - D) = softplus(logit), which neither overflow nor lose the gradient.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Losses


def discriminator_loss(
    real_logits: Float[Tensor, " batch"], fake_logits: Float[Tensor, " batch"], real_label: float = 1.0
) -> Losses:
    """-V(D, G) of equation 1: the binary cross-entropy of real against generated, with `real_label` for the real.

    Its lowest value over all D, with a label of 1, is ln 4 - 2 JS(p_data, p_G).
    """
    # -r ln D - (1 - r) ln(1 - D) = softplus(-logit) + (1 - r) logit
    real = F.softplus(-real_logits).mean()
    if real_label != 1:
        real = real + (1 - real_label) * real_logits.mean()
    fake = F.softplus(fake_logits).mean()
    return Losses(real + fake, {"real": real, "fake": fake})


def generator_loss(fake_logits: Float[Tensor, " batch"], objective: str) -> Losses:
    """E ln(1 - D(G(z))) for "minimax", E -ln D(G(z)) for "non_saturating" (section 3), to be minimised."""
    if objective == "minimax":
        return Losses(-F.softplus(fake_logits).mean())
    return Losses(F.softplus(-fake_logits).mean())
