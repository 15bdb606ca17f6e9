"""Deep generative models of every family, under one interface, with one honest ruler for likelihood."""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from ancestral.checks import check_model as check_model
    from ancestral.comparison import Comparison as Comparison
    from ancestral.comparison import compare as compare
    from ancestral.data import Data as Data
    from ancestral.data import Split as Split
    from ancestral.data import list_data as list_data
    from ancestral.data import load_data as load_data
    from ancestral.estimators import SemiSupervisedClassifier as SemiSupervisedClassifier
    from ancestral.evaluation import Divergence as Divergence
    from ancestral.evaluation import ErrorRate as ErrorRate
    from ancestral.evaluation import SampleQuality as SampleQuality
    from ancestral.evaluation import Score as Score
    from ancestral.evaluation import Transfer as Transfer
    from ancestral.evaluation import evaluate as evaluate
    from ancestral.evaluation import evaluate_classifier as evaluate_classifier
    from ancestral.evaluation import evaluate_samples as evaluate_samples
    from ancestral.evaluation import jensen_shannon as jensen_shannon
    from ancestral.evaluation import jensen_shannon_from_densities as jensen_shannon_from_densities
    from ancestral.evaluation import jensen_shannon_from_discriminator as jensen_shannon_from_discriminator
    from ancestral.evaluation import jensen_shannon_from_samples as jensen_shannon_from_samples
    from ancestral.evaluation import kl_divergence as kl_divergence
    from ancestral.evaluation import kl_from_densities as kl_from_densities
    from ancestral.evaluation import kl_from_discriminator as kl_from_discriminator
    from ancestral.evaluation import kl_from_samples as kl_from_samples
    from ancestral.evaluation import wasserstein as wasserstein
    from ancestral.evaluation import wasserstein_from_critic as wasserstein_from_critic
    from ancestral.evaluation import wasserstein_from_samples as wasserstein_from_samples
    from ancestral.interface import SGD as SGD
    from ancestral.interface import Adam as Adam
    from ancestral.interface import AnyLength as AnyLength
    from ancestral.interface import Autoregressive as Autoregressive
    from ancestral.interface import Batch as Batch
    from ancestral.interface import Binary as Binary
    from ancestral.interface import BoundedDensity as BoundedDensity
    from ancestral.interface import Categories as Categories
    from ancestral.interface import Classifier as Classifier
    from ancestral.interface import ClosedFormFit as ClosedFormFit
    from ancestral.interface import Columns as Columns
    from ancestral.interface import Completer as Completer
    from ancestral.interface import Critic as Critic
    from ancestral.interface import Decoder as Decoder
    from ancestral.interface import Encoder as Encoder
    from ancestral.interface import Event as Event
    from ancestral.interface import ExactDensity as ExactDensity
    from ancestral.interface import Features as Features
    from ancestral.interface import FitStep as FitStep
    from ancestral.interface import InputError as InputError
    from ancestral.interface import JointDensity as JointDensity
    from ancestral.interface import LabelledMix as LabelledMix
    from ancestral.interface import Levels as Levels
    from ancestral.interface import Losses as Losses
    from ancestral.interface import MeanDecoder as MeanDecoder
    from ancestral.interface import Model as Model
    from ancestral.interface import OptimizerSpec as OptimizerSpec
    from ancestral.interface import Phase as Phase
    from ancestral.interface import QuickSettings as QuickSettings
    from ancestral.interface import Real as Real
    from ancestral.interface import RMSProp as RMSProp
    from ancestral.interface import Sampler as Sampler
    from ancestral.interface import Shuffled as Shuffled
    from ancestral.interface import SparseSGD as SparseSGD
    from ancestral.interface import StagedDensity as StagedDensity
    from ancestral.interface import Support as Support
    from ancestral.interface import Translator as Translator
    from ancestral.interface import Unpaired as Unpaired
    from ancestral.interface import abilities as abilities
    from ancestral.interface import maximum_likelihood as maximum_likelihood
    from ancestral.interface import repeated as repeated
    from ancestral.persistence import load as load
    from ancestral.persistence import save as save
    from ancestral.registry import build as build
    from ancestral.registry import list_models as list_models
    from ancestral.registry import quick_settings as quick_settings
    from ancestral.registry import register as register
    from ancestral.registry import supports as supports
    from ancestral.reproduction import LedgerEntry as LedgerEntry
    from ancestral.reproduction import list_figures as list_figures
    from ancestral.reproduction import list_recipes as list_recipes
    from ancestral.reproduction import reproduce as reproduce
    from ancestral.training import Constant as Constant
    from ancestral.training import Cosine as Cosine
    from ancestral.training import Linear as Linear
    from ancestral.training import Report as Report
    from ancestral.training import Schedule as Schedule
    from ancestral.training import Step as Step
    from ancestral.training import TrainingDiverged as TrainingDiverged
    from ancestral.training import fit as fit
    from ancestral.training import probe as probe

#: The public names by the module that each lives in, the same as above for type checkers. Imported on first use:
#: `import ancestral` must not pay for torch.
_PUBLIC = {
    "checks": "check_model",
    "comparison": "Comparison compare",
    "data": "Data Split list_data load_data",
    "estimators": "SemiSupervisedClassifier",
    "evaluation": (
        "Divergence ErrorRate SampleQuality Score Transfer evaluate evaluate_classifier evaluate_samples "
        "jensen_shannon jensen_shannon_from_densities jensen_shannon_from_discriminator "
        "jensen_shannon_from_samples kl_divergence kl_from_densities kl_from_discriminator kl_from_samples "
        "wasserstein wasserstein_from_critic wasserstein_from_samples"
    ),
    "interface": (
        "Adam AnyLength Autoregressive Batch Binary BoundedDensity Categories Classifier ClosedFormFit Columns "
        "Completer Critic Decoder Encoder Event ExactDensity Features FitStep InputError JointDensity LabelledMix "
        "Levels Losses MeanDecoder Model OptimizerSpec Phase QuickSettings RMSProp Real SGD Sampler Shuffled SparseSGD "
        "StagedDensity Support Translator Unpaired abilities maximum_likelihood repeated"
    ),
    "persistence": "load save",
    "registry": "build list_models quick_settings register supports",
    "reproduction": "LedgerEntry list_figures list_recipes reproduce",
    "training": "Constant Cosine Linear Report Schedule Step TrainingDiverged fit probe",
}
_HOMES = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("ancestral")
    if name not in _HOMES:
        raise AttributeError(f"module 'ancestral' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ancestral.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
