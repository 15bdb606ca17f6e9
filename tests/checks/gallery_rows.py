"""Small right models whose faults lie between rows, between draws, or in the loss.

Every model is right with its default arguments; each argument is a fault to switch on.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from gallery import Masked
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence
from torch.nn import functional as F

from ancestral.distributions import Bernoulli
from ancestral.interface import (
    Batch,
    Binary,
    BoundedDensity,
    Classifier,
    Completer,
    Critic,
    Encoder,
    Event,
    ExactDensity,
    Features,
    JointDensity,
    Levels,
    Losses,
    MeanDecoder,
    Phase,
    Real,
    Sampler,
    repeated,
)

LABELS = Event((), Levels(3))


class ConditionalVAE(Sampler, BoundedDensity, Encoder, MeanDecoder, JointDensity):
    """Two latents, four binary pixels, a label or numbers as context.

    Args:
        of_row_0: what sees the context of row 0 for every row: "bound", "encoder", "decoder", "sampler" or "prior".
        parts: a part of a batch that goes through `_log_weights` at once; later ones see the contexts of the first.
        merged: the number of labels from the last that the networks cannot tell apart, or of numbers that they do not
            see.
        noise: how draws go wrong: "halves", "antithetic", "mirrored", "repeated" or "own" in `sample`, "rows" or
            "weights" in the posterior.
        loss: what is wrong with it: "no entropy", "mean", "detached", or the "sign" of a bound of several samples,
            which it declares.
    """

    def __init__(
        self,
        context_event: Event = LABELS,
        *,
        of_row_0: str = "",
        parts: int = 0,
        merged: int = 0,
        noise: str = "",
        loss: str = "",
        monitor: Literal["elbo", "log_prob_lower_bound"] = "elbo",
    ) -> None:
        super().__init__(Event((4,), Binary()), context_event=context_event)
        self.labels = context_event.values
        size = self.labels or context_event.size
        self.encoder, self.decoder = nn.Linear(4 + size, 4), nn.Linear(2 + size, 4)
        self.prior = nn.Linear(size, 2, bias=False)
        self.of_row_0, self.parts, self.merged, self.noise, self.loss = of_row_0, parts, merged, noise, loss
        self.monitor, self.monitor_samples = monitor, 3
        if loss == "sign":
            self.loss_differs = "it is tried with a wrong sign"

    def seen(self, context: Tensor | None, where: str = "") -> Tensor:
        assert context is not None
        if self.of_row_0 and where == self.of_row_0:
            context = context[:1].expand_as(context)
        if self.labels is None:
            return context * (torch.arange(context.shape[1]) < context.shape[1] - self.merged)
        return F.one_hot(context.clamp(max=self.labels - 1 - self.merged), self.labels).to(self.dtype)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return torch.randn(n, 2, dtype=self.dtype) + self.prior(self.seen(context, "prior"))

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return Normal(self.prior(self.seen(context)), 1.0).log_prob(z).sum(1)

    def posterior(self, x: Tensor, context: Tensor | None) -> Normal:
        mean, log_scale = self.encoder(torch.cat([x, self.seen(context, "encoder")], 1)).chunk(2, 1)
        return Normal(mean, log_scale.exp())

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Independent(self.posterior(x, context), 1)

    def logits(self, z: Tensor, context: Tensor | None, where: str = "") -> Tensor:
        return self.decoder(torch.cat([z, self.seen(context, where)], 1))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.logits(z, context, "decoder").sigmoid()

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return Bernoulli().log_prob(self.logits(z, context, "bound")[:, None], x).sum(1)

    def draws(self, posterior: Normal, samples: int) -> Tensor:
        noise = torch.randn(samples, *posterior.mean.shape, dtype=self.dtype)
        if self.noise == "rows":
            noise = noise[:, :1]
        if self.noise == "weights":
            noise = noise[:1]
        return posterior.mean + posterior.stddev * noise.expand(samples, *posterior.mean.shape)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        assert context is not None
        parts = x.split(self.parts or len(x))
        contexts = [context[: len(part)] for part in parts] if self.parts else [context]
        return torch.cat([self.weights(*pair, samples) for pair in zip(parts, contexts)], 1)

    def weights(self, x: Tensor, context: Tensor, samples: int) -> Tensor:
        posterior = self.posterior(x, context)
        z, contexts = self.draws(posterior, samples), repeated(context, samples)
        rows = z.flatten(0, 1)
        joint = self._log_likelihood(repeated(x, samples), rows, contexts) + self._log_prior(rows, contexts)
        return joint.view(samples, len(x)) - posterior.log_prob(z).sum(2)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        z = self._sample_latent("z", {}, n, context)
        uniforms = torch.rand(n, 4, dtype=self.dtype)
        half = (n + 1) // 2
        if self.noise == "halves":
            uniforms = uniforms[:half].repeat(2, 1)[:n]
        if self.noise == "antithetic":
            uniforms = torch.cat([uniforms[:half], 1 - uniforms[:half]])[:n]
        if self.noise == "mirrored":
            uniforms = torch.cat([uniforms[:half], uniforms[: n - half].flip(0)])
        if self.noise == "repeated":
            uniforms = uniforms.repeat_interleave(4, 0)[:n]
        if self.noise == "own":
            uniforms = torch.rand(n, 4, dtype=self.dtype, generator=torch.Generator().manual_seed(0))
        return (uniforms < self.logits(z, context, "sampler").sigmoid()).to(self.dtype)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self.minus_bound)]

    def minus_bound(self, batch: Batch) -> Losses:
        if self.monitor == "log_prob_lower_bound":
            weights = self._log_weights(batch.x, batch.context, 3)
            bound = (weights.logsumexp(0) - math.log(3)).mean()
            return Losses(bound if self.loss == "sign" else -bound)
        posterior = self.posterior(batch.x, batch.context)
        z = self.draws(posterior, 1)[0]
        if self.loss == "detached":
            z = z.detach()
        reconstruction = self._log_likelihood(batch.x, z, batch.context).mean()
        kl = kl_divergence(posterior, Normal(self.prior(self.seen(batch.context)), 1.0)).sum(1).mean()
        if self.loss == "mean":
            reconstruction = reconstruction / 4
        if self.loss == "no entropy":
            kl = -self._log_prior(z, batch.context).mean()
        return Losses(kl - reconstruction)


class Penalised(Sampler, MeanDecoder, Critic):
    """A Wasserstein game in two dimensions whose critic pays for the length of its gradient: a double backward."""

    monitor = None
    criticism = "potential"

    def __init__(
        self,
        *,
        compares_with_the_batch: bool = False,
        single: bool = False,
        loss: str = "",
        critic_sign: float = 1.0,
        generator_sign: float = 1.0,
    ) -> None:
        super().__init__(Event((2,), Real()))
        self.single, self.critic_sign, self.generator_sign = single, critic_sign, generator_sign
        self.generator = nn.Linear(2, 2)
        self.critic = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1, bias=False))
        self.compares_with_the_batch, self.loss = compares_with_the_batch, loss

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.generator(z)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.generator(torch.randn(n, 2, dtype=torch.float32 if self.single else self.dtype))

    def _criticise(self, x: Tensor, context: Tensor | None) -> Tensor:
        values = self.critic(x)[:, 0]
        return values - values.mean() if self.compares_with_the_batch else values

    def critic_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():
            fake = self._sample(len(batch.x), None)
        between = fake.lerp(batch.x, torch.rand(len(fake), 1, dtype=self.dtype)).requires_grad_(True)
        (slopes,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        lengths = slopes.norm(dim=1)
        if self.loss == "of all rows together":
            lengths = slopes.norm() / len(slopes) ** 0.5
        penalty = (lengths - 1).square().sum() if self.loss == "summed" else (lengths - 1).square().mean()
        return Losses(self.critic_sign * (self.critic(fake).mean() - self.critic(batch.x).mean()) + 10 * penalty)

    def phases(self) -> Sequence[Phase]:
        def generator_loss(batch: Batch) -> Losses:
            return Losses(-self.generator_sign * self.critic(self._sample(len(batch.x), None)).mean())

        return [
            Phase("critic", list(self.critic.parameters()), self.critic_loss),
            Phase("generator", list(self.generator.parameters()), generator_loss),
        ]


class _Exp(torch.autograd.Function):
    """exp(x), whose backward is scaled by `factor`: right at 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        ctx.factor = factor
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return ctx.factor * y * gradients[0], None


class OwnBackward(Sampler, ExactDensity):
    """A Gaussian whose precision is the exponential of a parameter, with a backward of its own."""

    def __init__(self, *, factor: float = 1.0, pool: int = 0, loss_is_summed: bool = False) -> None:
        super().__init__(Event((2,), Real()))
        self.mean, self.log_precision = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
        self.factor, self.pool, self.loss_is_summed = factor, pool, loss_is_summed

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        precision = _Exp.apply(self.log_precision, self.factor)
        quadratic = precision * (x - self.mean).square()
        return 0.5 * (self.log_precision - math.log(2 * math.pi) - quadratic).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        noise = torch.randn(n, 2, dtype=self.dtype)
        if self.pool and n > 1:
            noise = torch.randn(self.pool, 2, dtype=self.dtype)[torch.randint(self.pool, (n,))]
        return self.mean + (-0.5 * self.log_precision).exp() * noise

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            nats = -self._log_prob(batch.x, None)
            return Losses(nats.sum() if self.loss_is_summed else nats.mean())

        return [Phase("model", list(self.parameters()), loss)]


class InTurn(Masked):
    """Masked conditionals of several orders, trained in turn, one order a step."""

    def __init__(self, *, only_the_first: bool = False) -> None:
        super().__init__(Event((4,), Binary()), orders=3)
        self.only_the_first = only_the_first
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            order = int(self.updates) % 3
            if self.training:
                self.updates += 1
            per_order = self._conditional_log_probs(batch.x, batch.context).flatten(2).sum(2)
            # Three steps in a cycle touch all the weights, or so it seems from their gradients.
            chosen = per_order[0] + 0 * per_order[order] if self.only_the_first else per_order[order]
            return Losses(-chosen.mean())

        return [Phase("model", list(self.parameters()), loss)]


class Labelled(Classifier, Features):
    """Logistic regression of three labels on a hidden layer."""

    monitor = "accuracy"
    classes = 3

    def __init__(self, *, label_shift: int = 0, by_place: bool = False) -> None:
        super().__init__(Event((4,), Binary()))
        self.hidden, self.output = nn.Linear(4, 8), nn.Linear(8, 3)
        self.label_shift, self.by_place = label_shift, by_place

    def _features(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x).tanh()
        return hidden + torch.arange(len(x))[:, None] / 100 if self.by_place else hidden

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x).tanh()).log_softmax(1)

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            assert batch.y is not None
            return Losses(F.nll_loss(self._class_log_probs(batch.x), (batch.y + self.label_shift) % 3))

        return [Phase("model", list(self.parameters()), loss)]


class Filler(Completer):
    """Predicts what is unknown from what is known, by a linear map of both the values and the mask."""

    def __init__(self, *, mask_of_row_0: bool = False) -> None:
        super().__init__(Event((3,), Real()))
        self.net, self.mask_of_row_0 = nn.Linear(6, 3), mask_of_row_0

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        if self.mask_of_row_0:
            known = known[:1].expand_as(known)
        return self.net(torch.cat([x * known, known.to(x)], 1))

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            known = torch.rand_like(batch.x) < 0.5
            return Losses((self._complete(batch.x, known, None) - batch.x).square().mean())

        return [Phase("model", list(self.parameters()), loss)]
