"""The prior of most latents."""

import torch
from torch.distributions import Distribution, Independent, Normal


def standard_normal(size: int, dtype: torch.dtype, device: torch.device) -> Distribution:
    """N(0, I) with event shape (size,)."""
    zeros = torch.zeros(size, dtype=dtype, device=device)
    return Independent(Normal(zeros, torch.ones_like(zeros)), 1)
