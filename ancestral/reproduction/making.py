"""Models made and trained for figures, recipes and their baselines."""

from collections.abc import Mapping
from typing import Any

import torch

from ancestral.data import Data, Split
from ancestral.interface import Event, Model
from ancestral.registry import build
from ancestral.training import fit


def seeded_build(name: str, data: Data | Event, seed: int, settings: Mapping[str, Any]) -> Model:
    """The model with its initial weights drawn from `seed`; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build(name, data, **settings)


def fitted(model: Model, rows: Data | Split, **training: Any) -> Model:
    """The model, trained in place by `fit(model, rows, **training)`; what is interrupted is neither measured nor
    drawn."""
    if fit(model, rows, **training).interrupted:
        raise KeyboardInterrupt
    return model
