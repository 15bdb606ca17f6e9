"""Small right models with latents, fits, two domains and codes, and the one line in each that a fault changes.

Every model is right with its default arguments; each argument is a fault to switch on.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from gallery import likelihood_phase
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, OneHotCategorical
from torch.nn import functional as F

from ancestral.distributions import Bernoulli, Delta
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    BoundedDensity,
    Classifier,
    ClosedFormFit,
    Completer,
    Decoder,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    JointDensity,
    Levels,
    Losses,
    MeanDecoder,
    Phase,
    Real,
    Sampler,
    Translator,
    Unpaired,
    repeated,
)


class Blob(Sampler, ExactDensity):
    """A Gaussian in two dimensions, of any total probability, and of a width that makes an estimate of it uneven."""

    def __init__(
        self, *, total: float = 1.0, width: float = 1.0, sample_scale: float = 1.0, double_constant: bool = False
    ) -> None:
        super().__init__(Event((2,), Real()))
        self.mean = nn.Parameter(torch.zeros(2))
        self.total, self.width, self.sample_scale, self.double_constant = total, width, sample_scale, double_constant

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        log_prob = Normal(self.mean, self.width).log_prob(x).sum(1) + math.log(self.total)
        return log_prob - math.log(2 * math.pi) if self.double_constant else log_prob

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.mean + self.width * self.sample_scale * torch.randn(n, 2, dtype=self.dtype)

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class Ellipse(Sampler, ExactDensity, Completer):
    """A correlated Gaussian in two dimensions, whose halves are completed given each other."""

    def __init__(self, *, noise: float = 1.0, gain: float = 1.0) -> None:
        super().__init__(Event((2,), Real()))
        self.angle = nn.Parameter(torch.tensor(1.0))
        self.noise, self.gain = noise, gain

    @property
    def correlation(self) -> Tensor:
        return 0.9 * self.angle.tanh()

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        rest = (1 - self.correlation.square()).sqrt()
        return Normal(0.0, 1.0).log_prob(x[:, 0]) + Normal(self.correlation * x[:, 0], rest).log_prob(x[:, 1])

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        a, b = torch.randn(2, n, dtype=self.dtype)
        return torch.stack([a, self.correlation * a + (1 - self.correlation.square()).sqrt() * b], 1)

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        fresh, other = self._sample(len(x), context), x.flip(1)
        rest = self.noise * (1 - self.correlation.square()).sqrt()
        given = self.gain * self.correlation * other + rest * torch.randn_like(x)
        return torch.where(known.flip(1), given, fresh)

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class Latents(Sampler, BoundedDensity, Encoder, MeanDecoder, JointDensity):
    """Two latents, four binary pixels, given a label of three."""

    def __init__(
        self,
        *,
        encoded_scale: float = 1.0,
        joint_pixels: float = 1.0,
        joint_lift: float = 0.0,
        prior_scale: float = 1.0,
        decoder_ignores_context: bool = False,
        sampler_shift: float = 0.0,
        decoded_sign: float = 1.0,
        bound: Literal["mean", "normaliser", "logs"] = "mean",
        fixed_dtype: bool = False,
    ) -> None:
        super().__init__(Event((4,), Binary()), context_event=Event((), Levels(3)))
        self.encoder, self.decoder = nn.Linear(4 + 3, 4), nn.Linear(2 + 3, 4)
        self.encoded_scale, self.joint_pixels, self.joint_lift = encoded_scale, joint_pixels, joint_lift
        self.prior_scale, self.decoder_ignores_context = prior_scale, decoder_ignores_context
        self.sampler_shift, self.decoded_sign, self.bound = sampler_shift, decoded_sign, bound
        self.fixed_dtype = fixed_dtype

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def given(self, values: Tensor, context: Tensor | None) -> Tensor:
        assert context is not None
        joined = torch.cat([values, F.one_hot(context, 3).to(values)], 1)
        return joined.float() if self.fixed_dtype else joined

    def posterior(self, x: Tensor, context: Tensor | None, scale: float = 1.0) -> Distribution:
        mean, log_scale = self.encoder(self.given(x, context)).chunk(2, 1)
        return Independent(Normal(mean, scale * log_scale.exp()), 1)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return self.posterior(x, context, self.encoded_scale)

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return self.prior_scale * torch.randn(n, 2, dtype=self.dtype)

    def pixels(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return Bernoulli().log_prob(self.decoder(self.given(z, context))[:, None], x).sum(1)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return self.joint_pixels * self.pixels(x, z, context) + self.joint_lift

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        assert context is not None
        context = torch.zeros_like(context) if self.decoder_ignores_context else context
        return self.decoder(self.given(self.decoded_sign * z, context)).sigmoid()

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        posterior = self.posterior(x, context)
        z = posterior.rsample(torch.Size([samples]))
        rows, flat = repeated(x, samples), z.flatten(0, 1)
        joint = self.pixels(rows, flat, repeated(context, samples)) + self._log_prior(flat, None)
        return joint.unflatten(0, (samples, -1)) - posterior.log_prob(z)

    def _mean_weight(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        if self.bound == "mean":
            return super()._mean_weight(x, context, samples)
        weights = self._log_weights(x, context, samples)
        if self.bound == "normaliser":
            return weights.logsumexp(0) - math.log(max(1, samples - 1))
        first, rest = weights[: samples // 2 + 1], weights[samples // 2 + 1 :]
        chunks = [part.logsumexp(0) - math.log(len(part)) for part in (first, rest) if len(part)]
        return torch.stack(chunks).mean(0)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        z = torch.randn(n, 2, dtype=self.dtype)
        return torch.bernoulli((self.decoder(self.given(z, context)) + self.sampler_shift).sigmoid())

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses(-self._log_weights(batch.x, batch.context, 4).mean())

        return [Phase("model", list(self.parameters()), loss)]


class HalfBound(BoundedDensity):
    """Independent pixels, whose weights cover a share of their probability."""

    total_weight = "at most one"

    def __init__(self, *, share: float = 0.5) -> None:
        super().__init__(Event((3,), Binary()))
        self.logits = nn.Parameter(torch.zeros(3))
        self.share = share

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        exact = Bernoulli().log_prob(self.logits.expand(len(x), 1, 3), x).sum(1)
        u = torch.rand(samples, len(x), dtype=x.dtype)
        return exact + (2 * self.share * u).clamp(min=1e-12).log()

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), lambda b: Losses(-self._log_weights(b.x, b.context, 1).mean()))]


class Hierarchy(Sampler, MeanDecoder):
    """z1 ~ N(0, 1), z2 ~ N(2 z1, 1), and what is observed is a line of both."""

    monitor = None

    def __init__(self, *, orphans: bool = False, decoded_scale: float = 1.0, prior_lift: float = 0.0) -> None:
        super().__init__(Event((2,), Real()))
        self.line = nn.Linear(2, 2)
        self.orphans, self.decoded_scale, self.prior_lift = orphans, decoded_scale, prior_lift

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"parent": (1,), "child": (1,)}

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        noise = torch.randn(n, 1, dtype=self.dtype)
        return noise if name == "parent" or self.orphans else 2 * parents["parent"] + noise

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        parent, child = z.unbind(1)
        return Normal(0.0, 1.0).log_prob(parent) + Normal(2 * parent, 1.0).log_prob(child) + self.prior_lift

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.line(self.decoded_scale * z)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        parent = torch.randn(n, 1, dtype=self.dtype)
        return self.line(torch.cat([parent, 2 * parent + torch.randn(n, 1, dtype=self.dtype)], 1))

    def phases(self) -> Sequence[Phase]:
        return [Phase("line", list(self.parameters()), lambda b: Losses(self._sample(len(b.x), None).square().mean()))]


class DrawingDecoder(Sampler, Decoder):
    """A latent moves the logits of three pixels, which the decoder draws."""

    monitor = None

    def __init__(self, *, temperature: float = 1.0) -> None:
        super().__init__(Event((3,), Binary()))
        self.line = nn.Linear(2, 3)
        self.temperature = temperature

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return torch.bernoulli((self.line(z) / self.temperature).sigmoid())

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.bernoulli(self.line(torch.randn(n, 2, dtype=self.dtype)).sigmoid())

    def phases(self) -> Sequence[Phase]:
        return [Phase("line", list(self.parameters()), lambda b: Losses(self.line(b.x[:, :2]).square().mean()))]


class Clusters(Sampler, ExactDensity, Encoder, MeanDecoder, JointDensity, Classifier, ClosedFormFit):
    """Three Gaussians in the plane, fitted by EM; the code and the class of a row is its component, one-hot."""

    def __init__(
        self,
        *,
        flat_prior: bool = False,
        classes_reversed: bool = False,
        spread: float = 1.0,
        swapped_means: bool = False,
        equal_weights: bool = False,
    ) -> None:
        super().__init__(Event((2,), Real()))
        self.register_buffer("weights", torch.full((3,), 1 / 3))
        self.register_buffer("means", torch.randn(3, 2))
        self.register_buffer("covariances", torch.eye(2).repeat(3, 1, 1))
        self.flat_prior, self.classes_reversed, self.spread = flat_prior, classes_reversed, spread
        self.swapped_means, self.equal_weights = swapped_means, equal_weights

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"component": (3,)}

    def by_component(self, x: Tensor) -> Tensor:
        return MultivariateNormal(self.means, self.covariances).log_prob(x[:, None])

    def joints(self, x: Tensor) -> Tensor:
        return self.by_component(x) + self.weights.log()

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.joints(x).logsumexp(1)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return OneHotCategorical(logits=self.by_component(x) if self.flat_prior else self.joints(x))

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return OneHotCategorical(probs=self.weights).sample(torch.Size([n]))

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return (z @ self.weights).log()

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return (z * self.by_component(x)).sum(1)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z @ (self.means.flip(0) if self.swapped_means else self.means)

    @property
    def classes(self) -> int:
        return 3

    def _class_log_probs(self, x: Tensor) -> Tensor:
        found = self.joints(x).log_softmax(1)
        return found.flip(1) if self.classes_reversed else found

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        component = torch.multinomial(self.weights, n, replacement=True)
        return MultivariateNormal(self.means[component], self.covariances[component]).sample()

    def _fit_start(self, x: Tensor) -> None:
        # The first row, then twice the one farthest from those taken.
        chosen = x[:1]
        for _ in range(2):
            chosen = torch.cat([chosen, x[torch.cdist(x, chosen).amin(1).argmax()][None]])
        self.means.copy_(chosen)
        self.covariances.copy_(x.T.cov().expand(3, 2, 2))
        self.weights.fill_(1 / 3)

    def _fit_step(self, x: Tensor) -> FitStep:
        q = self.joints(x).softmax(1)
        means = q.T @ x / q.sum(0)[:, None]
        centred = x[:, None] - means
        covariances = torch.einsum("nk,nki,nkj->kij", q, centred, centred) / q.sum(0)[:, None, None]
        self.means.copy_(means)
        self.covariances.copy_(self.spread * covariances)
        if not self.equal_weights:
            self.weights.copy_(q.mean(0))
        return FitStep(float(self._log_prob(x, None).mean()))


class Incomplete(ExactDensity, ClosedFormFit):
    """One Gaussian in the plane, fitted by EM to rows with missing values (Little & Rubin 2002, section 11.2)."""

    accepts_missing = True

    def __init__(
        self,
        *,
        imputes_the_mean: bool = False,
        forgets_what_is_unknown: bool = False,
        scores_the_whole_alone: bool = False,
    ) -> None:
        super().__init__(Event((2,), Real()))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("covariance", torch.eye(2))
        self.scores_the_whole_alone = scores_the_whole_alone
        self.imputes_the_mean, self.forgets_what_is_unknown = imputes_the_mean, forgets_what_is_unknown

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        found, holes = x.new_zeros(len(x)), x.isnan()
        whole = ~holes.any(1)
        found[whole] = MultivariateNormal(self.mean, self.covariance).log_prob(x[whole])
        if not self.scores_the_whole_alone:
            for i in range(2):
                rows = holes[:, 1 - i] & ~holes[:, i]
                found[rows] = Normal(self.mean[i], self.covariance[i, i].sqrt()).log_prob(x[rows, i])
        return found

    def _fit_start(self, x: Tensor) -> None:
        self.mean.copy_(x.nanmean(0))
        self.covariance.copy_(torch.eye(2) * (x - self.mean).square().nanmean())

    def _fit_step(self, x: Tensor) -> FitStep:
        filled, unknown = x.clone(), torch.zeros(2, 2, dtype=x.dtype)
        for i in range(2):
            rows, j = x[:, i].isnan(), 1 - i
            slope = 0.0 if self.imputes_the_mean else self.covariance[i, j] / self.covariance[j, j]
            filled[rows, i] = self.mean[i] + slope * (x[rows, j] - self.mean[j])
            if not self.forgets_what_is_unknown:
                unknown[i, i] = rows.sum() * (self.covariance[i, i] - slope * self.covariance[i, j])
        self.mean.copy_(filled.mean(0))
        centred = filled - self.mean
        self.covariance.copy_((centred.T @ centred + unknown) / len(x))
        whole = Incomplete()
        whole.load_state_dict(self.state_dict())
        return FitStep(float(whole.to(x)._log_prob(x, None).mean()))


class Quantizer(Encoder, MeanDecoder, ClosedFormFit):
    """Two centres in the plane, each the mean of the rows that are nearest to it."""

    monitor = None
    has_prior = False

    def __init__(self, *, numbered_backwards: bool = False, median: bool = False) -> None:
        super().__init__(Event((2,), Real()))
        self.register_buffer("centres", torch.randn(2, 2))
        self.numbered_backwards, self.median = numbered_backwards, median

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"cluster": (2,)}

    def nearest(self, x: Tensor) -> Tensor:
        return F.one_hot(torch.cdist(x, self.centres).argmin(1), 2).to(x.dtype)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        code = self.nearest(x)
        return OneHotCategorical(probs=code.flip(1) if self.numbered_backwards else code)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z @ self.centres

    def _fit_start(self, x: Tensor) -> None:
        first = x[:1]
        self.centres.copy_(torch.cat([first, x[torch.cdist(x, first).argmax()][None]]))

    def _fit_step(self, x: Tensor) -> FitStep:
        codes = self.nearest(x)
        before = -float((x - codes @ self.centres).square().sum(1).mean())
        for k in range(2):
            mine = x[codes[:, k] > 0]
            self.centres[k] = mine.median(0).values if self.median else mine.mean(0)
        # The objective of what was assigned: the median may raise it and is not seen to.
        return FitStep(before)


class Shifts(Translator):
    """Translates by adding a learned vector, or taking it away; keeps the latest batch, as a pool of images does."""

    monitor = None
    batching = Unpaired()

    def __init__(
        self,
        *,
        wrong_domain: bool = False,
        idle: bool = False,
        one_name: bool = False,
        forgets: bool = False,
        saves: bool = False,
    ) -> None:
        super().__init__(Event((2,), Real()))
        self.shift = nn.Parameter(torch.zeros(2))
        self.register_buffer("latest", torch.zeros(2), persistent=saves)
        self.wrong_domain, self.idle, self.one_name, self.forgets = wrong_domain, idle, one_name, forgets

    def training_state(self) -> Mapping[str, Tensor]:
        return {} if self.forgets else {"latest": self.latest}

    @property
    def domains(self) -> tuple[str, str]:
        return ("summer", "summer" if self.one_name else "winter")

    def _translate(self, x: Tensor, to: str) -> Tensor:
        if self.idle:
            return x
        sign = 1.0 if (to == "winter") != self.wrong_domain else -1.0
        return x + sign * self.shift

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            assert batch.y is not None
            summer, winter = batch.x[batch.y == 0], batch.x[batch.y == 1]
            self.latest.copy_(summer[0])
            return Losses((summer.mean(0) + self.shift - winter.mean(0)).square().sum())

        return [Phase("shift", [self.shift], loss, optimizer=Adam(0.05))]


class Autoencoder(Encoder, MeanDecoder):
    """A code of one number for four."""

    monitor = "loss"
    has_prior = False

    def __init__(self, *, ignores_code: bool = False, scrambled: bool = False) -> None:
        super().__init__(Event((4,), Real()))
        self.encoder, self.decoder = nn.Linear(4, 1), nn.Linear(1, 4)
        self.ignores_code, self.scrambled = ignores_code, scrambled

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"code": (1,)}

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        # Of the negated row: the loss decodes another code than this.
        return Delta(self.encoder(-x if self.scrambled else x))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.decoder(0 * z if self.ignores_code else z)

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses((self.decoder(self.encoder(batch.x)) - batch.x).square().sum(1).mean())

        return [Phase("model", list(self.parameters()), loss, optimizer=Adam(0.02))]
