"""How a model is trained where nobody says how: in a comparison, and by `ancestral fit` without a recipe."""

from typing import Any

from ancestral.interface import ClosedFormFit, Event
from ancestral.registry import find_model, quick_settings

#: What all models that learn by gradients share; each adds its own `quick_settings`.
_COMMON: dict[str, Any] = {"batch_size": 64, "schedule": {"name": "cosine", "warmup_steps": 50}}
#: Epochs without a better validation that end a training early, where there is a validation.
_PATIENCE = 60


def quick_training(name: str, event: Event) -> dict[str, Any]:
    """The training of the model on `event` as a recipe spells it, all but a budget."""
    training = dict(quick_settings(name, event).training)
    cls = find_model(name)
    if not issubclass(cls, ClosedFormFit):
        training = _COMMON | ({} if cls.monitor is None else {"patience": _PATIENCE}) | training
    return training
