"""The model under test: copies of it with perturbed weights, inputs for it, and its public methods as functions."""

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ancestral.interface import (
    Autoregressive,
    Batch,
    BoundedDensity,
    Classifier,
    ClosedFormFit,
    Completer,
    Critic,
    Decoder,
    Encoder,
    Event,
    ExactDensity,
    Features,
    JointDensity,
    LabelledMix,
    MeanDecoder,
    Model,
    Sampler,
    StagedDensity,
    Support,
    Translator,
    Unpaired,
    by_kind,
    seeded,
)

#: A public method of observations: (x, context, generator) -> one row per observation.
Method: TypeAlias = Callable[[Tensor, Tensor | None, torch.Generator], Tensor]


class Rows(NamedTuple):
    """What the public methods take, a row for each observation."""

    x: Tensor
    context: Tensor | None
    z: Tensor | None
    known: Tensor  # what `complete` is not to fill in

    def at(self, index: Tensor) -> "Rows":
        """These rows of it, in this order."""
        context = None if self.context is None else self.context[index]
        return Rows(self.x[index], context, None if self.z is None else self.z[index], self.known[index])

    def replaced(self, changed: Tensor, other: "Rows", only: str | None = None) -> "Rows":
        """With the rows `changed`, (batch,) bool, from `other`, or of the field `only` alone."""
        fields = {}
        for name, mine in self._asdict().items():
            theirs = getattr(other, name)
            if mine is not None and only in (None, name):
                mine = torch.where(changed.view(-1, *[1] * (mine.dim() - 1)), theirs, mine)
            fields[name] = mine
        return Rows(**fields)


class Subject:
    """Copies of a model to run properties on; the model itself is never run."""

    def __init__(self, model: Model, seed: int) -> None:
        self.original = model
        self.event = model.event
        self.seed = seed
        self._streams = 0

    # -- Copies -----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def perturbed(self) -> Model:
        """A copy with perturbed weights, never trained: at its first weights a model may be trivial (zero layers).

        In a small network one perturbation may silence a whole layer of rectifiers: the first of a few that leaves no
        parameter without a gradient is taken.
        """
        return self._perturbed_by(1.0)

    def _perturbed_by(self, size: float) -> Model:
        for _ in range(6):
            model = self._perturbed_copy(size)
            if self._is_alive(model):
                break
        return model

    def _perturbed_copy(self, size: float) -> Model:
        model = copy.deepcopy(self.original).eval()
        with torch.no_grad(), seeded(self.generator()):
            for parameter in model.parameters():
                scale = 0.5 / math.sqrt(parameter[0].numel()) if parameter.dim() > 1 else 0.1
                noise = torch.randn(parameter.shape, dtype=parameter.dtype)
                parameter.add_(noise.to(parameter.device), alpha=size * scale)
        return model

    def _is_alive(self, model: Model) -> bool:
        probe = copy.deepcopy(model).train()
        for phase in probe.phases():
            with seeded(self.generator(), probe.device):
                phase.loss(probe.prepare(self.batch(self.rows(16)))).total.backward()
        gradients = [parameter.grad for parameter in probe.parameters() if parameter.requires_grad]
        return all(gradient is not None and bool((gradient.to_dense() != 0).any()) for gradient in gradients)

    @functools.cached_property
    def model(self) -> Model:
        """A copy with perturbed weights and moved batch statistics, or fitted where it is fitted without gradients."""
        return self._settled(copy.deepcopy(self.perturbed))

    def _settled(self, model: Model) -> Model:
        with seeded(self.generator(), model.device):
            if isinstance(model, ClosedFormFit):
                x = self.clustered(256)
                model.fit_start(x)
                model.fit_step(x)
            else:
                model.train()
                for phase in model.phases():
                    for _ in range(2):
                        phase.loss(model.prepare(self.batch(self.rows(32))))
        return model.eval().requires_grad_(False)

    @functools.cached_property
    def precise(self) -> Model:
        """`model` in float64."""
        return copy.deepcopy(self.model).double()

    @functools.cached_property
    def far(self) -> Model:
        """`precise` with its weights perturbed four times as far: what depends on an earlier dimension, a context or
        another row then does so plainly."""
        if isinstance(self.original, ClosedFormFit):
            return self.precise
        return self._settled(self._perturbed_by(4.0)).double()

    @property
    def tame(self) -> Iterator[Model]:
        """`far`, then `precise`, then for a bound copies with ever smaller weights.

        The importance weights of a proposal narrower than the posterior have no finite variance, and random weights may
        give such a proposal; smaller ones bring it nearer to the prior.
        """
        yield self.far
        if self.far is not self.precise:
            yield self.precise
        if not isinstance(self.original, BoundedDensity):
            return
        for scale in (0.7, 0.5, 0.35, 0.25, 0.15, 0.1):
            model = copy.deepcopy(self.precise)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(scale)
            yield model

    # -- Inputs -----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.original.display_name

    @functools.cached_property
    def cost(self) -> float:
        """Multiplications and additions that one observation takes, forward."""
        model, n = copy.deepcopy(self.original), 2
        with Operations() as counter, seeded(self.generator(), model.device):
            for phase in model.phases():
                phase.loss(model.prepare(self.batch(n)))
        return max(counter.total / n, 2.0**17 * math.sqrt(self.event.size))

    def rows(self, most: int, *, least: int = 4, budget: float = 2.0**31) -> int:
        """How many observations to use: `most` for small models, fewer for large ones, so that a check stays quick."""
        return max(least, min(most, int(budget / self.cost)))

    def generator(self) -> torch.Generator:
        """A new generator with a seed of its own at each call."""
        self._streams += 1
        return torch.Generator().manual_seed(self.seed * 100_003 + self._streams)

    def observations(self, n: int, dtype: torch.dtype | None = None, *, spread: float = 1.0) -> Tensor:
        """`n` random values of the event: uniform on a discrete support, on a continuous one normal with the deviation
        `spread`, in the units of the data where the model is standardised."""
        if self.event.densities == 0:
            return self._random(self.event, n, dtype)
        return self.in_data_units(self._random(self.event, n, torch.float64, spread), dtype)

    def in_data_units(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Real values as the cores see them, as observations."""
        # In float64 until the end: the units may be such that float32 cannot tell values apart.
        return self.original._from_core(x.double()).to(dtype or self.storage)

    @functools.cached_property
    def storage(self) -> torch.dtype:
        """The dtype in which observations are told apart: the model's own, or float64 where their units ask for it."""
        zeros = torch.zeros(1, *self.event.shape, dtype=self.original.dtype, device=self.original.device)
        return self.original._from_core(zeros).dtype

    def clustered(self, n: int, dtype: torch.dtype | None = None) -> Tensor:
        """`n` observations with structure to fit: on the real numbers three clusters of unequal size, each with
        correlations of its own."""
        size, generator = self.event.size, self.generator()
        if self.event.densities < size:
            return self.observations(n, dtype)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        directions = torch.linalg.qr(normal(max(size, 3), max(size, 3))).Q[:3, :size]
        # Well conditioned: where a variance is tiny, a floor under it shows.
        mixing = torch.linalg.qr(normal(3, size, size)).Q * torch.linspace(0.5, 1.5, size, dtype=torch.float64)
        which = torch.randint(4, (n,), generator=generator).clamp(max=2)
        rows = torch.einsum("nij,nj->ni", mixing[which], normal(n, size)) + 3 * directions[which]
        return rows.reshape(n, *self.event.shape).to(self.original.device, dtype or self.original.dtype)

    def contexts(self, n: int, dtype: torch.dtype | None = None) -> Tensor | None:
        """`n` random contexts, None for an unconditional model."""
        event = self.original.context_event
        return None if event is None else self._random(event, n, dtype)

    @functools.cached_property
    def single_contexts(self) -> tuple[Tensor | None, ...]:
        """Two random contexts without a batch dimension, which every method shares among all rows; or one None."""
        contexts = self.contexts(2)
        return (None,) if contexts is None else tuple(contexts)

    def batch(self, n: int) -> Batch:
        """A batch to train on, with the labels that the model's batching and abilities call for."""
        y = None
        if isinstance(self.original.batching, Unpaired):
            y = (torch.arange(n) >= n // 2).long()
        elif isinstance(self.original, Classifier):
            y = torch.randint(self.original.classes, (n,), generator=self.generator())
            if isinstance(self.original.batching, LabelledMix):
                y[max(1, round(n * self.original.batching.ratio)) :] = -1
        return Batch(self.observations(n), y, self.contexts(n))

    def inputs(self, model: Model, n: int) -> Rows:
        """`n` random rows of all that the model's public methods take."""
        z = self.latents(model, n) if isinstance(model, Decoder) else None
        known = torch.rand(n, *self.event.shape, generator=self.generator()) < 0.5
        return Rows(self.observations(n), self.contexts(n), z, known.to(self.original.device))

    def other_inputs(self, model: Model, rows: Rows) -> Rows:
        """As many other rows: what is discrete differs from `rows` everywhere."""
        new = self.inputs(model, len(rows.x))
        x, context, event = _unlike(self.event, rows.x, new.x), new.context, self.original.context_event
        if event is not None and context is not None and rows.context is not None:
            context = _unlike(event, rows.context, context)
        return Rows(x, context, new.z, ~rows.known)

    def latents(self, model: Decoder, n: int) -> Tensor:
        """`n` latents of the prior; without a prior, the codes of random observations, or normal ones."""
        if model.has_prior:
            return model.sample_latents(n, context=self.contexts(n), generator=self.generator())
        with seeded(self.generator(), model.device):
            if isinstance(model, Encoder):
                return model.encode(self.observations(n), context=self.contexts(n)).sample()
            return torch.randn(n, model.latent_size, dtype=model.dtype, device=model.device)

    def _random(self, event: Event, n: int, dtype: torch.dtype | None, spread: float = 1.0) -> Tensor:
        generator = self.generator()

        def of_kind(kind: Support, like: Tensor) -> Tensor:
            if kind.values is None:
                return spread * torch.randn(like.shape, generator=generator, dtype=torch.float64)
            return torch.randint(kind.values, like.shape, generator=generator).double()

        x = by_kind(event.support, of_kind, torch.empty(n, *event.shape))
        return x.to(self.original.device, dtype or self.original.dtype)


def _unlike(event: Event, old: Tensor, new: Tensor) -> Tensor:
    """Values of the event that are nowhere those of `old`: `new` ones where it is continuous."""

    def of_kind(kind: Support, before: Tensor, after: Tensor) -> Tensor:
        return after if kind.values is None else (before + 1 + after % (kind.values - 1)) % kind.values

    return by_kind(event.support, of_kind, old, new)


class Operations(TorchDispatchMode):
    """Counts multiplications and additions. Unlike torch's own counter it hooks no module, so that a loss may
    differentiate twice."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.total += count(*args, **kwargs, out_val=out)
        return out


def same(a: Tensor, b: Tensor) -> bool:
    """Equal up to the rounding of a few operations in another order."""
    if not (a.is_floating_point() and b.is_floating_point()):
        return torch.equal(a, b)
    tolerance = 64 * torch.finfo(a.dtype).eps
    return torch.allclose(a, b.to(a.dtype), rtol=tolerance, atol=tolerance, equal_nan=True)


def sample(model: Sampler, n: int, context: Tensor | None, generator: torch.Generator) -> Tensor:
    return model.sample(n, context=context, generator=generator)


def methods(model: Model) -> Mapping[str, Method]:
    """The public methods that take observations, by name."""
    found: dict[str, Method] = {}
    if isinstance(model, ExactDensity):
        exact = model
        found["log_prob"] = lambda x, context, _: exact.log_prob(x, context=context)
    if isinstance(model, Autoregressive):
        ordered = model
        found["conditional_log_probs"] = lambda x, context, _: ordered.conditional_log_probs(
            x, context=context
        ).transpose(0, 1)
    if isinstance(model, BoundedDensity):
        bounded = model
        found["elbo"] = lambda x, context, generator: bounded.elbo(x, samples=2, context=context, generator=generator)
        found["log_prob_lower_bound"] = lambda x, context, generator: bounded.log_prob_lower_bound(
            x, importance_samples=3, context=context, generator=generator
        )
    if isinstance(model, StagedDensity):
        staged = model
        found["stage_log_probs"] = lambda x, context, _: staged.stage_log_probs(x, context=context).T
    if isinstance(model, Encoder):
        found["encode"] = functools.partial(_encode, model)
    if isinstance(model, Critic):
        critic = model
        found["criticise"] = lambda x, context, _: critic.criticise(x, context=context)
    if isinstance(model, Translator):
        for domain in model.domains:
            found[f"translate to {domain}"] = functools.partial(_translate, model, domain)
    if isinstance(model, Classifier):
        classifier = model
        found["class_log_probs"] = lambda x, _, __: classifier.class_log_probs(x)
    if isinstance(model, Features):
        featured = model
        found["features"] = lambda x, _, __: featured.features(x)
    return found


def _translate(model: Translator, domain: str, x: Tensor, context: Tensor | None, generator: torch.Generator) -> Tensor:
    return model.translate(x, to=domain)


def _encode(model: Encoder, x: Tensor, context: Tensor | None, generator: torch.Generator) -> Tensor:
    distribution = model.encode(x, context=context)
    with seeded(generator, model.device):
        return distribution.sample()


def calls(
    model: Model, x: Tensor, context: Tensor | None, z: Tensor | None = None, known: Tensor | None = None
) -> dict[str, Callable[[torch.Generator], Tensor]]:
    """Every public method for this input, by its name; those of latents and of a mask only where these are given."""
    found: dict[str, Callable[[torch.Generator], Tensor]] = {
        name: functools.partial(method, x, context) for name, method in methods(model).items()
    }
    if isinstance(model, Sampler):
        found["sample"] = lambda generator: sample(model, len(x), context, generator)
    if isinstance(model, Completer) and known is not None:
        found["complete"] = lambda generator: model.complete(x, known, context=context, generator=generator)
    if isinstance(model, Decoder) and z is not None:
        found["decode"] = lambda generator: model.decode(z, context=context, generator=generator)
        if isinstance(model, MeanDecoder):
            found["decode_mean"] = lambda _: model.decode_mean(z, context=context)
        if model.has_prior:
            found["sample_latents"] = lambda generator: model.sample_latents(
                len(x), context=context, generator=generator
            )
            found["log_prior"] = lambda _: model.log_prior(z, context=context)
            if isinstance(model, JointDensity):
                found["log_joint"] = lambda _: model.log_joint(x, z, context=context)
    return found


@torch.no_grad()
def all_outputs(
    model: Model, x: Tensor, context: Tensor | None, seed: int, z: Tensor | None = None, known: Tensor | None = None
) -> dict[str, Tensor]:
    """What every public method returns for the same input and the same seed, by the method's name."""
    found = calls(model, x, context, z, known)
    return {name: call(torch.Generator().manual_seed(seed)) for name, call in found.items()}


def outputs(model: Model, rows: Rows, seed: int) -> dict[str, Tensor]:
    """`all_outputs` for these rows."""
    return all_outputs(model, rows.x, rows.context, seed, rows.z, rows.known)


def is_deterministic(model: Model, name: str) -> bool:
    """Whether a method's row is a function of its input alone."""
    if name == "decode":
        return isinstance(model, MeanDecoder)
    return name.startswith("translate") or name in _DETERMINISTIC


_DETERMINISTIC = (
    "class_log_probs",
    "conditional_log_probs",
    "criticise",
    "decode_mean",
    "features",
    "log_joint",
    "log_prior",
    "log_prob",
    "stage_log_probs",
)
