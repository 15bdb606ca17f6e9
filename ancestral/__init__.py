"""Deep generative models of every family, under one interface, with one honest ruler for likelihood."""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from ancestral.checks import check_model as check_model
    from ancestral.data import load_data as load_data
    from ancestral.evaluation.likelihood import Score as Score
    from ancestral.evaluation.likelihood import evaluate as evaluate
    from ancestral.evaluation.sample_quality import evaluate_samples as evaluate_samples
    from ancestral.interface import Autoregressive as Autoregressive
    from ancestral.interface import Batch as Batch
    from ancestral.interface import Binary as Binary
    from ancestral.interface import BoundedDensity as BoundedDensity
    from ancestral.interface import Classifier as Classifier
    from ancestral.interface import ClosedFormFit as ClosedFormFit
    from ancestral.interface import Decoder as Decoder
    from ancestral.interface import Encoder as Encoder
    from ancestral.interface import Event as Event
    from ancestral.interface import ExactDensity as ExactDensity
    from ancestral.interface import Features as Features
    from ancestral.interface import InputError as InputError
    from ancestral.interface import Levels as Levels
    from ancestral.interface import Losses as Losses
    from ancestral.interface import Model as Model
    from ancestral.interface import Phase as Phase
    from ancestral.interface import Real as Real
    from ancestral.interface import Sampler as Sampler
    from ancestral.interface import Translator as Translator
    from ancestral.persistence import load as load
    from ancestral.persistence import save as save
    from ancestral.registry import build as build
    from ancestral.registry import list_models as list_models
    from ancestral.registry import register as register
    from ancestral.training import fit as fit

# Where each public name lives. Imported on first use: `import ancestral` must not pay for torch.
_HOMES = {
    "check_model": "checks",
    "load_data": "data",
    "Score": "evaluation.likelihood",
    "evaluate": "evaluation.likelihood",
    "evaluate_samples": "evaluation.sample_quality",
    **dict.fromkeys(
        (
            *(
                "Autoregressive",
                "Batch",
                "Binary",
                "BoundedDensity",
                "Classifier",
                "ClosedFormFit",
                "Decoder",
                "Encoder",
                "Event",
            ),
            *("ExactDensity", "Features", "InputError", "Levels", "Losses", "Model", "Phase", "Real", "Sampler"),
            "Translator",
        ),
        "interface",
    ),
    "load": "persistence",
    "save": "persistence",
    "build": "registry",
    "list_models": "registry",
    "register": "registry",
    "fit": "training",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("ancestral")
    if name not in _HOMES:
        raise AttributeError(f"module 'ancestral' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ancestral.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
