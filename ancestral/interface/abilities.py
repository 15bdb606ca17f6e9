"""What models promise beyond training: each ability publishes its private cores once, as checked methods."""

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import ClassVar, Literal, TypeVar, overload

import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor
from torch.distributions import Distribution

from ancestral.interface.events import Event, InputError
from ancestral.interface.model import Model, Monitor
from ancestral.interface.phases import Adam, Batch, Losses, OptimizerSpec, Phase


class Sampler(Model):
    """Draws observations. Write `_sample(n, context) -> (n, *event.shape)` in data space."""

    @abstractmethod
    def _sample(self, n: int, context: Tensor | None) -> Tensor: ...

    @torch.no_grad()
    def sample(
        self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Num[Tensor, "n *event"]:
        """`n` independent observations in data space, (n, *event.shape); int64 where they are `Categories`.

        `context` is (n, *context_event.shape), or one context for all of them, (*context_event.shape).
        """
        _check_number(n)
        context = self._checked_context(context, n)
        with self._public(generator):
            return self._from_core(self._sample(n, context))


def _check_number(n: int, name: str = "n") -> None:
    if not isinstance(n, Integral) or n < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {n!r}")


def _check_temperature(temperature: float) -> None:
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature must be a finite number above 0, got {temperature}")


class ExactDensity(Model):
    """Has an exact log-likelihood. Write `_log_prob(x, context) -> (batch,)` nats."""

    monitor = "log_prob"

    @abstractmethod
    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor: ...

    def log_prob(self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None) -> Float[Tensor, " batch"]:
        """ln p(x | context) in nats, (batch,), exact. A density on `Real`, a probability otherwise.

        Where the model accepts missing values (NaN), that of the values that were observed.
        """
        x, context = self._checked(x, missing=self.accepts_missing), self._checked_context(context, len(x))
        with self._public():
            return self._in_data_units(self._log_prob(x, context), x)


def maximum_likelihood(model: ExactDensity, optimizer: OptimizerSpec = Adam()) -> Sequence[Phase]:  # noqa: B008
    """The one phase of an exact density: all parameters descend the mean of -ln p(x | context), in nats per example."""

    def loss(batch: Batch) -> Losses:
        return Losses(-model._log_prob(batch.x, batch.context).mean())

    return [Phase("model", list(model.parameters()), loss, optimizer=optimizer)]


class Completer(Model):
    """Fills in what is unknown of an observation. Write `_complete(x, known, context) -> (batch, *event)`, and
    `completion`."""

    #: How a completion comes about, for those who read it: "exactly", "by a Markov chain".
    completion: ClassVar[str] = "as the model predicts it"
    #: Whether what it fills in is one prediction, the same every time, and no draw.
    predicts: ClassVar[bool] = False

    @abstractmethod
    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor: ...

    @torch.no_grad()
    def complete(
        self,
        x: Num[Tensor, "batch *event"],
        known: Bool[Tensor, "..."],
        *,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Num[Tensor, "batch *event"]:
        """`x` where `known`, and what the model draws or predicts for the rest given it, in data space.

        `x` may hold anything where it is not `known`, NaN among it. `known` may be one mask for all rows, (*event).
        """
        return self._completed(x, known, context, generator, self._complete)

    def _completed(
        self,
        x: Tensor,
        known: Tensor,
        context: Tensor | None,
        generator: torch.Generator | None,
        fill: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    ) -> Tensor:
        """What `fill(x, known, context)` makes of checked arguments, in data space, with what is known as it was."""
        if tuple(known.shape) == self.event.shape:
            known = known.expand(len(x), *known.shape)
        if known.dtype != torch.bool or known.shape != x.shape:
            raise InputError(
                f"known must be a mask of booleans of the shape of x, {tuple(x.shape)},"
                f" got {known.dtype} of {tuple(known.shape)}"
            )
        # The mean of standardised data, and a member of every discrete support.
        filler = 0.0 if self.standardization is None else self.standardization.shift
        core = self._checked(torch.where(known, x, torch.as_tensor(filler, device=x.device).to(x.dtype)))
        context = self._checked_context(context, len(x))
        with self._public(generator):
            filled = self._from_core(fill(core, known, context))
        return torch.where(known, x, filled)


class Autoregressive(Sampler, ExactDensity, Completer):
    """An exact density that is a product of conditionals, each of one dimension given those before it in an order.

    Write `orders`, `_conditional_log_probs(x, context) -> (orders, batch, *event)`, each entry ln p of that dimension
    given the earlier ones in that order, and `_draw`, which samples, completes and serves as their oracle. A model with
    several orders averages their probabilities. `layers.autoregressive` makes all but the conditionals themselves.
    """

    completion = "in the model's orders, without a look at what is known later in them"

    @property
    @abstractmethod
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Each row is a permutation of the flat dimensions of an event, in the order in which they are generated."""

    @abstractmethod
    def _conditional_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor: ...

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        per_order = self._conditional_log_probs(x, context).flatten(2).sum(2)
        return per_order.logsumexp(0) - math.log(len(per_order))

    @abstractmethod
    def _draw(
        self,
        n: int,
        context: Tensor | None,
        *,
        given: Tensor | None = None,
        known: Tensor | None = None,
        temperature: float = 1.0,
        naively: bool = False,
    ) -> Tensor:
        """`n` observations, one dimension after another in an order drawn for each: `given` where `known`, elsewhere
        drawn at `temperature`; `naively` by a whole evaluation of the network for each dimension."""

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self._draw(n, context)

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None, temperature: float = 1.0) -> Tensor:
        return self._draw(len(x), context, given=x, known=known, temperature=temperature)

    @torch.no_grad()
    def complete(
        self,
        x: Num[Tensor, "batch *event"],
        known: Bool[Tensor, "..."],
        *,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Num[Tensor, "batch *event"]:
        """`x` where `known`, and draws for the rest in an order, as `Completer.complete`; sharper at a lower
        `temperature`, as `sample`."""
        _check_temperature(temperature)
        fill = self._complete if temperature == 1 else partial(self._complete, temperature=temperature)
        return self._completed(x, known, context, generator, fill)

    def conditional_log_probs(
        self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None
    ) -> Float[Tensor, "orders batch *event"]:
        """ln p(x_d | the dimensions before d) in nats for every d, in each order: (orders, batch, *event.shape)."""
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public():
            found = self._conditional_log_probs(x, context)
        return found if self.standardization is None else found - self.standardization.log_scale.to(found.dtype)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        naively: bool = False,
    ) -> Num[Tensor, "n *event"]:
        """`n` independent observations in data space, (n, *event.shape), as `Sampler.sample`.

        Below a `temperature` of 1 each conditional is sharpened, p^(1/temperature) up to normalisation: likelier, less
        diverse samples, which no longer follow the density. `naively` evaluates the whole network for every dimension:
        the slow oracle that gives the same sample from the same generator.
        """
        _check_number(n)
        _check_temperature(temperature)
        context = self._checked_context(context, n)
        with self._public(generator):
            return self._from_core(self._draw(n, context, temperature=temperature, naively=naively))


AnyLengthModel = TypeVar("AnyLengthModel", bound="AnyLength")


class AnyLength(Model):
    """Models sequences (time,), and its parameters do not hang on how long they are. Write `receptive_field`.

    What it says of a step follows from the steps before it within reach, wherever in the sequence they are.
    """

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """How many steps, before the one that is modelled, it can depend on."""

    def of_length(self: AnyLengthModel, length: int) -> AnyLengthModel:
        """The same model, with the same parameters and not a copy of them, of sequences of another length."""
        _check_number(length, "length")
        other = copy.copy(self)
        other.event = Event((length,), self.event.support)
        return other


class BoundedDensity(Model):
    """Has stochastic lower bounds of its log-likelihood.

    Write `_log_weights(x, context, samples) -> (samples, batch)`: logarithms of independent unbiased estimates of
    p(x | context), for a VAE ln p(x, z) - ln q(z | x) with z ~ q. Where the bound has a form of less variance (a
    closed-form KL), write `_elbo` too.
    """

    monitor: Monitor | None = "elbo"
    #: What the expected weights sum to over all x: 1, or at most 1 where they cover a part of p(x) only (a two-stage
    #: hierarchy that follows the one view that it derives from x). The bound is then looser than it need be.
    total_weight: ClassVar[Literal["one", "at most one"]] = "one"
    #: A latent that the weights sum out where the ELBO takes it from q: the bound of one sample is then above the ELBO.
    #: None where the ELBO is that bound's expectation.
    sums_out: ClassVar[str | None] = None
    #: Rows (samples times observations) that go through the model at once; bounds the memory of the estimates.
    rows_at_once: int = 4096

    @abstractmethod
    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor: ...

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return self._log_weights(x, context, samples).mean(0)

    def elbo(
        self,
        x: Num[Tensor, "batch *event"],
        *,
        samples: int = 1,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " batch"]:
        """An unbiased estimate of the evidence lower bound in nats, (batch,), from `samples` draws of q."""
        if samples < 1:
            raise InputError(f"samples must be at least 1, got {samples}")
        x, context = self._checked(x, missing=self.accepts_missing), self._checked_context(context, len(x))
        with self._public(generator):
            return self._in_data_units(self._elbo(x, context, samples), x)

    def log_prob_lower_bound(
        self,
        x: Num[Tensor, "batch *event"],
        *,
        importance_samples: int,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " batch"]:
        """ln of the mean of `importance_samples` weights in nats, (batch,): Burda et al. 2016, equation 8.

        A lower bound in expectation that rises with the number of samples towards ln p(x). Without gradients its
        memory does not grow with `importance_samples`.
        """
        if importance_samples < 1:
            raise InputError(f"importance_samples must be at least 1, got {importance_samples}")
        x, context = self._checked(x, missing=self.accepts_missing), self._checked_context(context, len(x))
        with self._public(generator):
            starts = range(0, len(x), self.rows_at_once)
            parts = [slice(start, start + self.rows_at_once) for start in starts]
            bounds = [
                self._mean_weight(x[rows], None if context is None else context[rows], importance_samples)
                for rows in parts
            ]
            return self._in_data_units(torch.cat(bounds), x) if bounds else x.new_empty(0, dtype=self.dtype)

    def _mean_weight(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        at_once = max(1, self.rows_at_once // len(x))
        total = x.new_full((len(x),), -math.inf, dtype=self.dtype)
        for done in range(0, samples, at_once):
            weights = self._log_weights(x, context, min(at_once, samples - done))
            total = torch.logaddexp(total, weights.logsumexp(0))
        return total - math.log(samples)


class StagedDensity(Model):
    """Its log-likelihood, or its ELBO, is a sum over stages, each given those before it: a coarse view, then what that
    leaves open. Of discrete data.

    Write `stages` and `_stage_log_probs(x, context) -> (stages, batch)` nats, whose sum over the stages is `log_prob`
    of an exact density, and otherwise the ELBO, of which then nothing is random.
    """

    @property
    @abstractmethod
    def stages(self) -> tuple[str, ...]:
        """What the stages are called, the first one first."""

    @abstractmethod
    def _stage_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor: ...

    def stage_log_probs(
        self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None
    ) -> Float[Tensor, "stages batch"]:
        """What each stage adds to the log-likelihood of an observation, or to its bound, in nats, (stages, batch)."""
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public():
            return self._stage_log_probs(x, context)


@overload
def repeated(values: Tensor, samples: int) -> Tensor: ...
@overload
def repeated(values: None, samples: int) -> None: ...
def repeated(values: Tensor | None, samples: int) -> Tensor | None:
    """The rows of a tensor (batch, ...), or of no context, once for each of several samples: (samples * batch, ...)."""
    return None if values is None else values.expand(samples, *values.shape).flatten(0, 1)


def log_standard_normal(z: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows"]:
    """ln N(z; 0, I) in nats."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))


class Decoder(Model):
    """Turns latents into observations. Write `latent_shapes` and `_decode(z, context) -> (batch, *event)`.

    A latent z is flat, (batch, n): the model's latents side by side in the order of `latent_shapes`, parents first.
    The prior is p(z_1) p(z_2 | z_1) ... in that order, N(0, I) unless the model writes `_sample_latent` and
    `_log_prior`. `_decode` returns values of the support, and may draw them: an autoregressive decoder does.
    """

    #: False for a decoder whose latents have no prior: an autoencoder, k-means.
    has_prior: ClassVar[bool] = True

    @property
    @abstractmethod
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each latent by name, parents first: the order in which they are drawn and lie in z."""

    @abstractmethod
    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor: ...

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        """`n` draws of one latent given those before it, (n, *shape); N(0, I) by default."""
        return torch.randn(n, *self.latent_shapes[name], dtype=self.dtype, device=self.device)

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        """ln p(z | context) in nats, (batch,); that of N(0, I) by default."""
        return log_standard_normal(z)

    @property
    def latent_size(self) -> int:
        return sum(math.prod(shape) for shape in self.latent_shapes.values())

    def split_latents(self, z: Float[Tensor, "batch n"]) -> dict[str, Tensor]:
        """The named latents, (batch, *shape) each, as views of z."""
        parts = z.split([math.prod(shape) for shape in self.latent_shapes.values()], dim=1)
        return {
            name: part.unflatten(1, shape) if shape else part.squeeze(1)
            for (name, shape), part in zip(self.latent_shapes.items(), parts, strict=True)
        }

    def join_latents(self, latents: Mapping[str, Tensor]) -> Float[Tensor, "batch n"]:
        """The inverse of `split_latents`."""
        return torch.cat([latents[name].reshape(len(latents[name]), -1) for name in self.latent_shapes], dim=1)

    @torch.no_grad()
    def sample_latents(
        self,
        n: int,
        *,
        given: Mapping[str, Tensor] | None = None,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n latent"]:
        """`n` flat latents: those `given` by name, (n, *shape) each or one for all, and the others drawn in order,
        each from its prior given the latents before it."""
        given = dict(given or {})
        _check_number(n)
        self._check_prior()
        if unknown := [name for name in given if name not in self.latent_shapes]:
            raise InputError(f"there is no latent {unknown[0]!r}; the latents are {', '.join(self.latent_shapes)}")
        context = self._checked_context(context, n)
        latents: dict[str, Tensor] = {}
        with self._public(generator):
            for name, shape in self.latent_shapes.items():
                if name not in given:
                    latents[name] = self._sample_latent(name, latents, n, context)
                    continue
                value = given[name]
                value = value.expand(n, *shape) if tuple(value.shape) == shape else value
                if tuple(value.shape) != (n, *shape):
                    raise InputError(f"the latent {name!r} must have shape {(n, *shape)}, got {tuple(value.shape)}")
                self._check_device(value, f"the latent {name!r}")
                latents[name] = value.to(self.dtype)
        return self.join_latents(latents)

    def log_prior(self, z: Float[Tensor, "batch n"], *, context: Tensor | None = None) -> Float[Tensor, " batch"]:
        """ln p(z | context) in nats, (batch,): a density, or a probability where a latent is discrete."""
        self._check_prior()
        z, context = self._checked_latents(z), self._checked_context(context, len(z))
        with self._public():
            return self._log_prior(z, context)

    def decode(
        self,
        z: Float[Tensor, "batch n"],
        *,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Num[Tensor, "batch *event"]:
        """An observation of each latent in data space, (batch, *event.shape).

        The one nearest to `decode_mean` where the model is a `MeanDecoder`, otherwise what the decoder draws.
        """
        z, context = self._checked_latents(z), self._checked_context(context, len(z))
        with self._public(generator):
            return self._from_core(self._decode(z, context))

    def _checked_latents(self, z: Tensor) -> Tensor:
        if z.dim() != 2 or z.shape[1] != self.latent_size:
            raise InputError(f"z must have shape (batch, {self.latent_size}), got {tuple(z.shape)}")
        self._check_device(z, "z")
        return z.to(self.dtype)

    def _check_prior(self) -> None:
        if not self.has_prior:
            raise InputError(f"{type(self).__name__} has no prior of its latents: encode observations instead")


class MeanDecoder(Decoder):
    """Has the expected observation of a latent in closed form. Write `_decode_mean(z, context)` in place of `_decode`.

    It is in the units of the data as the cores see them, not yet rounded to the support.
    """

    @abstractmethod
    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor: ...

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.event.support.project(self._decode_mean(z, context))

    def decode_mean(
        self, z: Float[Tensor, "batch n"], *, context: Tensor | None = None
    ) -> Float[Tensor, "batch *event"]:
        """The expected observation in data units; for `Binary` the probability of a 1, the picture that papers show."""
        z, context = self._checked_latents(z), self._checked_context(context, len(z))
        with self._public():
            return self._from_core(self._decode_mean(z, context))


class JointDensity(Decoder):
    """Knows ln p(x | z), so that p(x, z) = p(x | z) p(z). Write `_log_likelihood(x, z, context) -> (batch,)` nats."""

    @abstractmethod
    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor: ...

    def log_joint(
        self, x: Num[Tensor, "batch *event"], z: Float[Tensor, "batch n"], *, context: Tensor | None = None
    ) -> Float[Tensor, " batch"]:
        """ln p(x, z | context) in nats, (batch,)."""
        z, x, context = self._checked_latents(z), self._checked(x), self._checked_context(context, len(x))
        if len(z) != len(x):
            raise InputError(f"z must have one row for each of {len(x)} observations, got {len(z)}")
        with self._public():
            return self._in_data_units(self._log_likelihood(x, z, context)) + self._log_prior(z, context)


class Encoder(Model):
    """Infers latents. Write `_encode(x, context)`, a distribution of batch shape (batch,) and event shape (n,)."""

    @abstractmethod
    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution: ...

    def encode(self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None) -> Distribution:
        """q(z | x): a distribution over flat latents (batch, n), a `Delta` where the code is deterministic.

        Its `mean` is exact, or an estimate from a fixed seed, where the distribution says so. Where the model accepts
        missing values (NaN), x are the values that were observed.
        """
        x, context = self._checked(x, missing=self.accepts_missing), self._checked_context(context, len(x))
        with self._public():
            return self._encode(x, context)


class Translator(Model):
    """Maps observations between two domains. Write `domains` and `_translate(x, to)`."""

    @property
    @abstractmethod
    def domains(self) -> tuple[str, str]: ...

    @abstractmethod
    def _translate(self, x: Tensor, to: str) -> Tensor: ...

    def translate(self, x: Num[Tensor, "batch *event"], *, to: str) -> Float[Tensor, "batch *event"]:
        """`x` from the other domain, as an observation of the domain `to`."""
        if to not in self.domains:
            raise InputError(f"to must be one of {self.domains}, got {to!r}")
        with self._public():
            return self.event.support.project(self._from_core(self._translate(self._checked(x), to)))


class Critic(Model):
    """Judges how real an observation is. Write `criticism` and `_criticise(x, context) -> (batch,)`."""

    @property
    @abstractmethod
    def criticism(self) -> Literal["logit", "potential"]:
        """ "logit": of being real, at its optimum ln p_data(x) - ln p_G(x) in nats; "potential": Kantorovich's, whose
        mean over data less that over samples is a Wasserstein distance."""

    @abstractmethod
    def _criticise(self, x: Tensor, context: Tensor | None) -> Tensor: ...

    def criticise(self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None) -> Float[Tensor, " batch"]:
        """The critic's value of each observation, (batch,); larger for what looks like data."""
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public():
            return self._criticise(x, context)


class Classifier(Model):
    """Infers a label. Write `classes` and `_class_log_probs(x) -> (batch, classes)`, normalised."""

    @property
    @abstractmethod
    def classes(self) -> int: ...

    @abstractmethod
    def _class_log_probs(self, x: Tensor) -> Tensor: ...

    def class_log_probs(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch classes"]:
        """ln p(y | x) in nats for every class, (batch, classes)."""
        with self._public():
            return self._class_log_probs(self._checked(x))


class Features(Model):
    """Has a representation to transfer. Write `_features(x) -> (batch, n)`."""

    @abstractmethod
    def _features(self, x: Tensor) -> Tensor: ...

    def features(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch n"]:
        """The representation of `x`, (batch, n)."""
        with self._public():
            return self._features(self._checked(x))


@dataclass(frozen=True)
class FitStep:
    """What one step of a closed-form fit reached: the objective after it (nats per example where it is a likelihood;
    larger is better), and after each of its half-steps by name, as ("E", ...), ("M", ...). After an M step the
    objective is the ELBO under the responsibilities before it, at most the likelihood of the new parameters."""

    objective: float
    trace: tuple[tuple[str, float], ...] = ()


class ClosedFormFit(Model):
    """Is fitted without gradients. Write `_fit_start(x)` and `_fit_step(x) -> FitStep`; the parameters are buffers.

    The engine for expectation-maximisation calls `fit_start` once, then `fit_step` until the objective settles.
    """

    def phases(self) -> Sequence[Phase]:
        return ()

    @abstractmethod
    def _fit_start(self, x: Tensor) -> None: ...

    @abstractmethod
    def _fit_step(self, x: Tensor) -> FitStep: ...

    @torch.no_grad()
    def fit_start(self, x: Num[Tensor, "batch *event"], *, generator: torch.Generator | None = None) -> None:
        """Set the parameters from which the fit starts, from all the training data."""
        if len(x) == 0:
            raise InputError("the training data are empty")
        x = self._checked(x, missing=self.accepts_missing)
        with self._public(generator):
            self._fit_start(x)

    @torch.no_grad()
    def fit_step(self, x: Num[Tensor, "batch *event"]) -> FitStep:
        """One EM iteration, or the closed solution, on all the training data.

        The objective of a density is in the data's own units; any other is that of what the cores see.
        """
        x = self._checked(x, missing=self.accepts_missing)
        with self._public():
            step = self._fit_step(x)
        if self.standardization is None or not isinstance(self, ExactDensity | BoundedDensity):
            return step
        offset = float(self._in_data_units(x.new_zeros(len(x)), x).mean())
        return FitStep(step.objective + offset, tuple((name, value + offset) for name, value in step.trace))


ABILITIES: tuple[type[Model], ...] = (
    Sampler,
    ExactDensity,
    Autoregressive,
    AnyLength,
    BoundedDensity,
    StagedDensity,
    Decoder,
    MeanDecoder,
    JointDensity,
    Encoder,
    Completer,
    Critic,
    Translator,
    Classifier,
    Features,
    ClosedFormFit,
)


def abilities(model: Model | type[Model]) -> tuple[str, ...]:
    """The names of the abilities that a model declares."""
    cls = model if isinstance(model, type) else type(model)
    return tuple(ability.__name__ for ability in ABILITIES if issubclass(cls, ability))
