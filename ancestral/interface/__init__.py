"""What a generative model is: an event, phases of training, and declared abilities. Read this package first.

`events` says what one observation is, `phases` how a model is trained, `model` is the base of every model, and
`abilities` are what models promise beyond it.

A model subclasses every ability that it has and writes their private cores (`_log_prob`, `_sample`, ...). The
abilities publish each core once as a checked method. The rules that hold everywhere:

* Observations go in and come out as stored: {0, 1}, integers 0..L-1, token ids, or floats. Any numeric dtype is
  accepted; a core receives `x` in the model's own floating dtype (int64 where its support is `Categories`), and
  `context` as int64 where its support is `Levels` or `Categories`, otherwise in the model's dtype.
* Log-likelihoods are natural logarithms (nats) per example, summed over dimensions; larger is better.
* Public methods run in evaluation mode. Phases are run in training mode by the engine.
* Randomness is the argument `generator`: the base forks the global generators and seeds them from it, so a core may
  use any torch randomness freely.
* A model of `Real` data may hold a fixed standardisation of them. Then its cores and its losses see standardised
  values; the public methods take and return data in their own units, and count the log-determinant.
"""

from ancestral.interface.abilities import (
    ABILITIES,
    AnyLength,
    Autoregressive,
    BoundedDensity,
    Classifier,
    ClosedFormFit,
    Completer,
    Critic,
    Decoder,
    Encoder,
    ExactDensity,
    Features,
    FitStep,
    JointDensity,
    MeanDecoder,
    Sampler,
    StagedDensity,
    Translator,
    abilities,
    log_standard_normal,
    maximum_likelihood,
    repeated,
)
from ancestral.interface.events import (
    Binary,
    Categories,
    Columns,
    Described,
    Event,
    InputError,
    Levels,
    Real,
    Support,
    by_kind,
    parse_support,
)
from ancestral.interface.model import Model, Monitor, QuickSettings, seeded
from ancestral.interface.phases import (
    SGD,
    Adam,
    Batch,
    Batching,
    LabelledMix,
    Losses,
    OptimizerSpec,
    Phase,
    RMSProp,
    Shuffled,
    SparseSGD,
    Unpaired,
)
from ancestral.interface.standardization import Standardization

__all__ = [
    "ABILITIES",
    "SGD",
    "Adam",
    "AnyLength",
    "Autoregressive",
    "Batch",
    "Batching",
    "Binary",
    "BoundedDensity",
    "Categories",
    "Classifier",
    "ClosedFormFit",
    "Columns",
    "Completer",
    "Critic",
    "Decoder",
    "Described",
    "Encoder",
    "Event",
    "ExactDensity",
    "Features",
    "FitStep",
    "InputError",
    "JointDensity",
    "LabelledMix",
    "Levels",
    "Losses",
    "MeanDecoder",
    "Model",
    "Monitor",
    "OptimizerSpec",
    "Phase",
    "QuickSettings",
    "RMSProp",
    "Real",
    "Sampler",
    "Shuffled",
    "SparseSGD",
    "StagedDensity",
    "Standardization",
    "Support",
    "Translator",
    "Unpaired",
    "abilities",
    "by_kind",
    "log_standard_normal",
    "maximum_likelihood",
    "parse_support",
    "repeated",
    "seeded",
]
