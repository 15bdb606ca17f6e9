"""Small right models, and the one line in each that a fault changes.

Every model is right with its default arguments; each argument is a fault to switch on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal
from torch.nn import functional as F

from ancestral.distributions import Bernoulli, Delta, Gaussian
from ancestral.interface import (
    SGD,
    AnyLength,
    Batch,
    Binary,
    BoundedDensity,
    Categories,
    ClosedFormFit,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    Losses,
    MeanDecoder,
    Model,
    Phase,
    Real,
    Sampler,
)
from ancestral.layers.autoregressive import AutoregressiveModel, Stepwise


def likelihood_phase(model: ExactDensity, sign: float = -1.0) -> list[Phase]:
    def loss(batch: Batch) -> Losses:
        return Losses(sign * model._log_prob(batch.x, batch.context).mean())

    return [Phase("model", list(model.parameters()), loss)]


class Masked(AutoregressiveModel):
    """Bernoulli conditionals by one masked linear layer for each order: p(x_d | earlier) = sigmoid(w_d . x + b_d)."""

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        orders: int = 1,
        mask_includes_itself: bool = False,
        reversed_colours: bool = False,
        averages_logs: bool = False,
        total: float = 1.0,
        sampler: str = "right",
        cache: str = "right",
        sampled_order: int | None = None,
        loss_sign: float = -1.0,
        ignores_context: bool = False,
    ) -> None:
        super().__init__(event, context_event=context_event)
        self.observation = _Drawn(sampler)
        size = event.size
        declared = [self.raster(), *(torch.randperm(size) for _ in range(orders - 1))]
        self.register_buffer("_orders", torch.stack(declared))
        used = torch.stack([self.raster(reverse=True), *declared[1:]]) if reversed_colours else self._orders
        position = used.argsort(1)
        compare = torch.ge if mask_includes_itself else torch.gt
        self.register_buffer("mask", compare(position[:, :, None], position[:, None, :]).to(torch.get_default_dtype()))
        self.weight = nn.Parameter(torch.randn(orders, size, size))
        self.bias = nn.Parameter(torch.zeros(orders, 1, size))
        self.shift = nn.Linear(1, size) if context_event is not None else None
        self.averages_logs, self.total, self.cache, self.sampler = averages_logs, total, cache, sampler
        self.sampled_order, self.loss_sign, self.ignores_context = sampled_order, loss_sign, ignores_context

    def raster(self, *, reverse: bool = False) -> Tensor:
        flat = torch.arange(self.event.size).reshape(self.event.shape)
        if len(self.event.shape) != 3:
            return flat.flatten()
        return (flat.flip(0) if reverse else flat).permute(1, 2, 0).flatten()

    @property
    def orders(self) -> Tensor:
        return self._orders

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        logits = F.linear(x.flatten(1), self.weight[order] * self.mask[order]) + self.bias[order]
        if self.shift is not None and context is not None:
            logits = logits + self.shift(context * 0 if self.ignores_context else context)
        return logits.view(len(x), 1, *self.event.shape)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Stepwise:
        return _MaskedSteps(self, n, context, order)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        per_order = self._conditional_log_probs(x, context).flatten(2).sum(2)
        if self.averages_logs:
            return per_order.mean(0)
        return per_order.logsumexp(0) - math.log(len(per_order)) + math.log(self.total)

    def _chosen_orders(self, n: int) -> Tensor:
        return super()._chosen_orders(n) if self.sampled_order is None else torch.full((n,), self.sampled_order)

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        return self._draw(len(x), context) if self.sampler == "forgetful" else super()._complete(x, known, context)

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self, self.loss_sign)


class Chain(AutoregressiveModel):
    """Gaussian conditionals in three dimensions, the mean linear in the earlier ones."""

    def __init__(self, *, sharp: bool = False) -> None:
        super().__init__(Event((3,), Real()))
        self.observation = _SharpGaussian() if sharp else Gaussian()
        self.weight, self.log_variance = nn.Parameter(torch.randn(3, 3)), nn.Parameter(torch.randn(3))

    @property
    def orders(self) -> Tensor:
        return torch.arange(3)[None]

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        mean = F.linear(x, self.weight.tril(-1))
        return torch.stack((mean, self.log_variance.expand_as(mean)), 1)

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class Recent(AutoregressiveModel, AnyLength):
    """Bits, each given the two before it."""

    def __init__(self, *, declared: int = 2, fault: str = "") -> None:
        super().__init__(Event((5,), Binary()))
        self.observation, self.declared, self.fault = Bernoulli(), declared, fault
        self.weight, self.bias = nn.Parameter(torch.randn(1, 1, 2)), nn.Parameter(torch.randn(1))

    @property
    def receptive_field(self) -> int:
        return self.declared

    @property
    def orders(self) -> Tensor:
        return torch.arange(self.event.size)[None]

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        out = F.conv1d(F.pad(x[:, None], (2, -1)), self.weight, self.bias)
        if self.fault == "place":
            return out + torch.arange(x.shape[1]).to(x) / 10
        return out / x.shape[1] if self.fault == "length" else out

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class _SharpGaussian(Gaussian):
    """Gaussian variables that are drawn at a lower temperature than asked for."""

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        return super().from_uniform(parameters, u, 0.8 * temperature)


class _Drawn(Bernoulli):
    """Bernoulli variables that may be drawn otherwise than they are scored."""

    def __init__(self, sampler: str) -> None:
        self.sampler = sampler

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if self.sampler == "sharp":
            temperature *= 0.8
        return super().from_uniform(parameters, u, 1.0 if self.sampler == "always at 1" else temperature)


class _MaskedSteps(Stepwise):
    """One row of the masked layer at a time."""

    def __init__(self, model: Masked, n: int, context: Tensor | None, order: int) -> None:
        self.path, self.cache = model.orders[order].tolist(), model.cache
        self.weight, self.bias = model.weight[order] * model.mask[order], model.bias[order].expand(n, -1)
        if model.shift is not None and context is not None:
            seen = 0.0 if model.ignores_context else 0.5 if self.cache == "half the context" else 1.0
            self.bias = self.bias + model.shift(context * seen)
        self.x = self.weight.new_zeros(n, len(self.path))
        self.before = self.x.clone()

    def parameters(self, step: int) -> Tensor:
        dimension, past = self.path[step], self.before if self.cache == "stale" else self.x
        logits = (past * self.weight[dimension]).sum(1) + self.bias[:, dimension]
        if self.cache == "sharp":
            logits = 1.3 * logits
        return (logits.round(decimals=3) if self.cache == "coarse" else logits)[:, None]

    def write(self, step: int, values: Tensor) -> None:
        self.before = self.x.clone()
        self.x[:, self.path[step - 1 if self.cache == "misplaced" else step]] = values


class AveragedLogits(ExactDensity):
    """Two orders of masked conditionals whose logits are averaged where probabilities belong."""

    def __init__(self, *, averages_logits: bool = False) -> None:
        super().__init__(Event((4,), Binary()))
        self.weight = nn.Parameter(torch.randn(2, 4, 4))
        lower = torch.ones(4, 4).tril(-1)
        self.register_buffer("mask", torch.stack([lower, lower.T]))
        self.averages_logits = averages_logits

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        logits = torch.einsum("bj,oij->obi", x, self.weight * self.mask)
        if self.averages_logits:
            logits = logits.mean(0, keepdim=True)
        per_order = (x * logits - F.softplus(logits)).sum(2)
        return per_order.logsumexp(0) - math.log(len(per_order))

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class Flow(Sampler, ExactDensity, Encoder, MeanDecoder):
    """Two affine couplings in two dimensions and a scale of each dimension."""

    def __init__(self, *, forgets: str = "", inverse_shift: float = 1.0, sample_scale: float = 1.0) -> None:
        super().__init__(Event((2,), Real()))
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2)) for _ in range(2))
        self.log_scale = nn.Parameter(torch.zeros(2))
        self.forgets, self.inverse_shift, self.sample_scale = forgets, inverse_shift, sample_scale

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def forward_pass(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = x.new_zeros(len(x))
        for net in self.nets:
            fixed, moved = x.split(1, 1)
            log_s, shift = net(fixed).split(1, 1)
            log_s = log_s.tanh()
            x = torch.cat([moved * log_s.exp() + shift, fixed], 1)
            log_det = log_det + (0 if self.forgets == "coupling" else log_s.squeeze(1))
        log_det = log_det + self.log_scale.sum()
        return x * self.log_scale.exp(), 0 * log_det if self.forgets == "all" else log_det

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        z, log_det = self.forward_pass(x)
        return self._log_prior(z, context) + log_det

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(self.forward_pass(x)[0])

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        z = z * (-self.log_scale).exp()
        for net in reversed(self.nets):
            changed, fixed = z.split(1, 1)
            log_s, shift = net(fixed).split(1, 1)
            z = torch.cat([fixed, (changed - self.inverse_shift * shift) * (-log_s.tanh()).exp()], 1)
        return z

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self._decode_mean(self.sample_scale * torch.randn(n, 2, dtype=self.dtype), context)

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class VAE(Sampler, BoundedDensity, Encoder, MeanDecoder):
    """Two latents, four binary pixels."""

    def __init__(
        self,
        *,
        elbo_sign: float = 1.0,
        kl_scale: float = 1.0,
        weight_kl_scale: float = 1.0,
        pixels: float = 1.0,
        weight_pixels: float = 1.0,
        samples_are_summed: bool = False,
        decodes_logits: bool = False,
        lift: float = 0.0,
    ) -> None:
        super().__init__(Event((4,), Binary()))
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(2, 4)
        self.elbo_sign, self.kl_scale, self.weight_kl_scale = elbo_sign, kl_scale, weight_kl_scale
        self.pixels, self.weight_pixels, self.lift = pixels, weight_pixels, lift
        self.samples_are_summed, self.decodes_logits = samples_are_summed, decodes_logits

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        mean, log_scale = self.encoder(x).chunk(2, 1)
        return Independent(Normal(mean, log_scale.exp()), 1)

    def reconstruction(self, x: Tensor, z: Tensor) -> Tensor:
        return Bernoulli().log_prob(self.decoder(z)[:, None], x).sum(1)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.decoder(z) if self.decodes_logits else self.decoder(z).sigmoid()

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        posterior = self._encode(x, context)
        z = posterior.rsample(torch.Size([samples]))
        kl = posterior.log_prob(z) + 0.5 * (z.square().sum(-1) + 2 * math.log(2 * math.pi))
        pixels = self.reconstruction(x.expand(samples, *x.shape).flatten(0, 1), z.flatten(0, 1))
        return self.weight_pixels * pixels.unflatten(0, (samples, -1)) - self.weight_kl_scale * kl + self.lift

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        posterior = self._encode(x, context)
        z = posterior.rsample(torch.Size([samples]))
        pixels = self.reconstruction(x.expand(samples, *x.shape).flatten(0, 1), z.flatten(0, 1))
        kl = torch.distributions.kl_divergence(posterior.base_dist, Normal(0.0, 1.0)).sum(1)
        per_sample = self.pixels * pixels.unflatten(0, (samples, -1)) - self.kl_scale * kl + self.lift
        return self.elbo_sign * (per_sample.sum(0) if self.samples_are_summed else per_sample.mean(0))

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.bernoulli(self.decoder(torch.randn(n, 2, dtype=self.dtype)).sigmoid())

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses(-(self._log_weights(batch.x, None, 4) - self.lift).mean())

        return [Phase("model", list(self.parameters()), loss)]


class GAN(Sampler):
    """Two players in one dimension."""

    monitor = None

    def __init__(self, *, lists_both: bool = False, clips_all: bool = False, idle: bool = False) -> None:
        super().__init__(Event((1,), Real()))
        self.generator = nn.Linear(2, 1)
        self.critic = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1, bias=False))
        self.lists_both, self.clips_all = lists_both, clips_all
        self.unused = nn.Linear(1, 1) if idle else None

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.generator(torch.randn(n, 2, dtype=self.dtype))

    def clip(self) -> None:
        with torch.no_grad():
            for parameter in (self if self.clips_all else self.critic).parameters():
                parameter.clamp_(-0.1, 0.1)

    def phases(self) -> Sequence[Phase]:
        def critic_loss(batch: Batch) -> Losses:
            return Losses(self.critic(self._sample(len(batch.x), None)).mean() - self.critic(batch.x).mean())

        def generator_loss(batch: Batch) -> Losses:
            return Losses(-self.critic(self._sample(len(batch.x), None)).mean())

        critic = list(self.parameters()) if self.lists_both else list(self.critic.parameters())
        players = [*self.generator.parameters(), *(self.unused.parameters() if self.unused else [])]
        return [
            Phase("critic", critic, critic_loss, after_step=self.clip),
            Phase("generator", players, generator_loss),
        ]


class Normalised(Sampler, ExactDensity):
    """A Gaussian of the data after a standardisation with running statistics."""

    def __init__(
        self,
        *,
        batch_statistics: bool = False,
        draws: str = "torch",
        noisy: bool = False,
        sample_scale: float = 1.0,
        single: bool = False,
        in_place: bool = False,
    ) -> None:
        super().__init__(Event((2,), Real()))
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("std", torch.ones(2))
        self.parameters_of_x = nn.Parameter(torch.zeros(2, 2))
        self.batch_statistics, self.draws, self.noisy = batch_statistics, draws, noisy
        self.sample_scale, self.single = sample_scale, single
        self.calls = 0

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        mean, std = self.mean, self.std
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.mean(0), 0.1)
                self.std.lerp_(x.std(0), 0.1)
        elif self.batch_statistics and len(x) > 1:
            mean, std = x.mean(0), x.std(0)
        if self.in_place:
            x += 1e-3
        log_prob = Gaussian().log_prob(self.parameters_of_x.expand(len(x), 2, 2), (x - mean) / std)
        if self.noisy:
            log_prob = F.dropout(log_prob, 0.1)
        result = log_prob.sum(1) - std.log().sum()
        return result.float() if self.single else result

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        parameters = self.parameters_of_x.expand(n, 2, 2)
        own = torch.Generator().manual_seed(0)
        if self.draws == "state":
            self.calls += 1
            own = own.manual_seed(self.calls)
        generator = None if self.draws == "torch" else own
        u = torch.rand(n, 2, dtype=self.dtype, generator=generator)
        if self.draws == "reseeds":
            torch.manual_seed(7)
            u = torch.rand(n, 2, dtype=self.dtype)
        return self.mean + self.sample_scale * self.std * Gaussian().from_uniform(parameters, u)

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class Tokens(Sampler, ExactDensity):
    """Independent token ids, each as likely as any other."""

    def __init__(self, *, in_floats: bool = False) -> None:
        super().__init__(Event((2,), Categories(3)))
        self.logits = nn.Parameter(torch.zeros(2, 3))
        self.in_floats = in_floats

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return Categorical(logits=self.logits).log_prob(x).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        drawn = Categorical(logits=self.logits).sample((n,))
        return drawn.to(self.dtype) if self.in_floats else drawn

    def phases(self) -> Sequence[Phase]:
        return likelihood_phase(self)


class UncheckedNormalised(Normalised):
    """Publishes `log_prob` itself, past the checks and the evaluation mode of the base."""

    def log_prob(self, x: Tensor, *, context: Tensor | None = None) -> Tensor:
        return self._log_prob(x.to(self.dtype), context)


class Mixture(Sampler, ExactDensity, ClosedFormFit):
    """Two unit Gaussians on the line, fitted by EM."""

    def __init__(self, *, forgets_weights: bool = False, objective_sign: float = 1.0, step: float = 1.0) -> None:
        super().__init__(Event((1,), Real()))
        self.register_buffer("centres", torch.tensor([-1.0, 1.0]))
        self.register_buffer("weights", torch.tensor([0.5, 0.5]))
        self.forgets_weights, self.objective_sign, self.step = forgets_weights, objective_sign, step

    def joint(self, x: Tensor) -> Tensor:
        return -0.5 * (x - self.centres).square() - 0.5 * math.log(2 * math.pi) + self.weights.log()

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.joint(x).logsumexp(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        which = torch.multinomial(self.weights, n, replacement=True)
        return self.centres[which][:, None] + torch.randn(n, 1, dtype=self.dtype)

    def _fit_start(self, x: Tensor) -> None:
        self.centres.copy_(x[torch.randperm(len(x))[:2], 0])
        self.weights.fill_(0.5)

    def _fit_step(self, x: Tensor) -> FitStep:
        responsibilities = self.joint(x).softmax(1)
        counts = responsibilities.sum(0)
        centres = (responsibilities * x).sum(0) / (len(x) / 2 if self.forgets_weights else counts)
        self.centres += self.step * (centres - self.centres)
        self.weights.copy_(counts / len(x))
        return FitStep(self.objective_sign * float(self._log_prob(x, None).mean()))


class Stateful(ExactDensity):
    """Keeps a constant of its density neither as parameter nor as buffer; see the test that registers it."""

    def __init__(self, event: Event, *, hidden_state: bool = False) -> None:
        super().__init__(event)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.shift = float(torch.randn(())) if hidden_state else 0.0

    @classmethod
    def examples(cls) -> Iterable[Model]:
        return [cls(Event((1,), Real()))]

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return Normal(self.shift, self.log_scale.exp()).log_prob(x).sum(1)

    def phases(self) -> Sequence[Phase]:
        phase = likelihood_phase(self)[0]
        return [Phase(phase.name, phase.parameters, phase.loss, optimizer=SGD(0.1))]
