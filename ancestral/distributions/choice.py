"""The observation model of a support, by its name."""

from ancestral.distributions.bernoulli import Bernoulli
from ancestral.distributions.categorical import Categorical
from ancestral.distributions.discretized_logistic import DiscretizedLogistic
from ancestral.distributions.gaussian import Gaussian
from ancestral.distributions.observation import Observation
from ancestral.interface import Binary, Categories, InputError, Levels, Support


def observation_for(support: Support, name: str = "auto") -> Observation:
    """The observation model of that name on `support`; "auto" is the first that fits.

    On `Binary` "bernoulli", on `Levels` "discretized_logistic" or "categorical", on `Categories` "categorical", on
    `Real` "gaussian". Raises `InputError` for any other.
    """
    fitting: dict[str, Observation]
    match support:
        case Binary():
            fitting = {"bernoulli": Bernoulli()}
        case Levels(levels):
            fitting = {"discretized_logistic": DiscretizedLogistic(levels), "categorical": Categorical(levels)}
        case Categories(categories):
            fitting = {"categorical": Categorical(categories)}
        case _:
            fitting = {"gaussian": Gaussian()}
    if name == "auto":
        return next(iter(fitting.values()))
    if name not in fitting:
        raise InputError(f"observation on {support} must be auto or {' or '.join(fitting)}, got {name!r}")
    return fitting[name]
