"""The observation model of a support, by its name."""

from ancestral.distributions.bernoulli import Bernoulli
from ancestral.distributions.categorical import Categorical
from ancestral.distributions.columns import ColumnObservations
from ancestral.distributions.discretized_logistic import DiscretizedLogistic
from ancestral.distributions.gaussian import Gaussian
from ancestral.distributions.mixture import Mixture
from ancestral.distributions.observation import Observation
from ancestral.interface import Binary, Categories, Columns, InputError, Levels, Support

#: Levels that have a logit each; more of them are near each other in value and in probability.
_MOST_LOGITS = 256


def observation_for(support: Support, name: str = "auto") -> Observation:
    """The observation model of that name on `support`; "auto" is the first that fits.

    On `Binary` "bernoulli", on `Levels` "discretized_logistic" or "categorical", on `Categories` "categorical", on
    `Real` "gaussian" or "isotropic_gaussian"; of `Columns` each has its own, as "auto" alone gives. Raises `InputError`
    for any other.
    """
    fitting: dict[str, Observation]
    match support:
        case Columns():
            fitting = {"auto": conditional_for(support)}
        case Binary():
            fitting = {"bernoulli": Bernoulli()}
        case Levels(levels):
            fitting = {"discretized_logistic": DiscretizedLogistic(levels), "categorical": Categorical(levels)}
        case Categories(categories):
            fitting = {"categorical": Categorical(categories)}
        case _:
            fitting = {"gaussian": Gaussian(), "isotropic_gaussian": Gaussian(isotropic=True)}
    if name == "auto":
        return next(iter(fitting.values()))
    if name not in fitting:
        expected = " or ".join(dict.fromkeys(["auto", *fitting]))
        raise InputError(f"observation on {support} must be {expected}, got {name!r}")
    return fitting[name]


def conditional_for(support: Support, components: int = 1) -> Observation:
    """The observation model with the most freedom: for conditionals, and for columns of all kinds.

    A softmax over all values where they are few enough, otherwise a mixture of `components`: of discretized logistics
    on more than 256 levels, of Gaussians on the real numbers.
    """
    match support:
        case Columns():
            return ColumnObservations(support, lambda kind: conditional_for(kind, components))
        case Binary():
            return Bernoulli()
        case Levels(levels) if levels > _MOST_LOGITS:
            smooth: Observation = DiscretizedLogistic(levels)
        case Levels(values) | Categories(values):
            return Categorical(values)
        case _:
            smooth = Gaussian()
    return smooth if components == 1 else Mixture(smooth, components)
