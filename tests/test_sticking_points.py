"""Models of kinds that the library does not have yet, small: what each of them needs of the interface holds."""

import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical
from torch.nn import functional as F

from ancestral.checks import check_model
from ancestral.distributions import Bernoulli, DiagonalGaussian
from ancestral.interface import (
    Batch,
    Binary,
    BoundedDensity,
    Categories,
    Decoder,
    Encoder,
    Event,
    ExactDensity,
    InputError,
    JointDensity,
    Levels,
    Losses,
    MeanDecoder,
    Model,
    Phase,
    Real,
    Sampler,
    maximum_likelihood,
    repeated,
)

PIXELS = Event((4,), Binary())


def elbo_phase(model: BoundedDensity) -> list[Phase]:
    def loss(batch: Batch) -> Losses:
        return Losses(-model._log_weights(batch.x, batch.context, 1).mean())

    return [Phase("model", list(model.parameters()), loss)]


class BottomUp(Distribution):
    """q(z1 | x) q(z2 | z1), of flat latents (z2, z1); its mean is exact where `up` is linear."""

    arg_constraints = {}

    def __init__(self, first: Distribution, up: nn.Linear) -> None:
        self.first, self.up = first, up
        super().__init__(first.batch_shape, torch.Size([3]), validate_args=False)

    def second(self, z1: Tensor) -> Distribution:
        mean, log_variance = self.up(z1).chunk(2, -1)
        return Independent(Normal(mean, torch.exp(0.5 * log_variance)), 1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z1 = self.first.rsample(torch.Size(sample_shape))
        return torch.cat([self.second(z1).rsample(), z1], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        z2, z1 = value.split([1, 2], -1)
        return self.first.log_prob(z1) + self.second(z1).log_prob(z2)

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.second(self.first.mean).mean, self.first.mean], -1)


class Hierarchy(Sampler, BoundedDensity, Encoder, MeanDecoder, JointDensity):
    """Two layers of latents: p(z2) p(z1 | z2) p(x | z1), and q(z1 | x) q(z2 | z1) from the bottom up."""

    def __init__(self) -> None:
        super().__init__(PIXELS)
        self.up1, self.up2 = nn.Linear(4, 4), nn.Linear(2, 2)
        self.down1, self.down2 = nn.Linear(1, 4), nn.Linear(2, 4)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z2": (1,), "z1": (2,)}

    def given_parent(self, z2: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(self.down1(z2), like=z2)

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        if name == "z2":
            return torch.randn(n, 1, dtype=self.dtype)
        return self.given_parent(parents["z2"]).rsample(1)[0][0]

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        z2, z1 = z.split([1, 2], 1)
        return super()._log_prior(z2, context) + self.given_parent(z2).distribution.log_prob(z1)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return Bernoulli().log_prob(self.down2(z[:, 1:])[:, None], x).sum(1)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        posterior = self._encode(x, context)
        z = posterior.rsample(torch.Size([samples]))
        flat = z.flatten(0, 1)
        joint = self._log_likelihood(repeated(x, samples), flat, None) + self._log_prior(flat, None)
        return joint.unflatten(0, (samples, -1)) - posterior.log_prob(z)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.down2(z[:, 1:]).sigmoid()

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return BottomUp(DiagonalGaussian(self.up1(x), like=x).distribution, self.up2)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        z2 = self._sample_latent("z2", {}, n, context)
        z1 = self._sample_latent("z1", {"z2": z2}, n, context)
        return torch.bernoulli(self.down2(z1).sigmoid())

    def phases(self) -> Sequence[Phase]:
        return elbo_phase(self)


def test_a_hierarchy_draws_children_given_their_parents() -> None:
    model = Hierarchy()
    with torch.no_grad():
        model.down1.weight.copy_(torch.tensor([[30.0], [30.0], [0.0], [0.0]]))
        model.down1.bias.copy_(torch.tensor([0.0, 0.0, -8.0, -8.0]))  # deviations of e^-4
    top = torch.linspace(-2, 2, 50)[:, None]
    z = model.split_latents(model.sample_latents(50, given={"z2": top}))
    assert torch.equal(z["z2"], top)
    torch.testing.assert_close(z["z1"], (30 * top).expand(-1, 2), atol=0.2, rtol=0)
    # A re-sampled child belongs to the parent that was kept, not to another draw's.
    again = model.split_latents(model.sample_latents(50, given={"z2": z["z2"]}))
    torch.testing.assert_close(again["z1"], z["z1"], atol=0.2, rtol=0)
    with pytest.raises(InputError, match="there is no latent 'z3'; the latents are z2, z1"):
        model.sample_latents(2, given={"z3": top})
    with pytest.raises(InputError, match=r"'z2' must have shape \(2, 1\), got \(50, 1\)"):
        model.sample_latents(2, given={"z2": top})


def test_a_class_as_a_latent_is_drawn_and_weighed() -> None:
    class WithClass(Decoder):
        """A uniform class and one number about it: p(y) N(z; y's index, 1)."""

        def __init__(self) -> None:
            super().__init__(Event((1,), Real()))
            self.anchor = nn.Parameter(torch.zeros(()))

        @property
        def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
            return {"y": (3,), "z": (1,)}

        def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
            if name == "y":
                return OneHotCategorical(probs=torch.ones(3)).sample((n,))
            return parents["y"].argmax(1, keepdim=True) + torch.randn(n, 1)

        def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
            y, z = z.split([3, 1], 1)
            return super()._log_prior(z - y.argmax(1, keepdim=True), context) - math.log(3)

        def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
            return z[:, 3:] + self.anchor

        def phases(self) -> Sequence[Phase]:
            return []

    model = WithClass()
    ones = F.one_hot(torch.arange(3), 3).float().repeat_interleave(20_000, 0)
    x = model.decode(model.sample_latents(60_000, given={"y": ones})).view(3, -1)
    torch.testing.assert_close(x.mean(1), torch.arange(3.0), atol=0.05, rtol=0)
    z = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    assert model.log_prior(z).item() == pytest.approx(-0.5 * math.log(2 * math.pi) - math.log(3))


def test_a_prior_may_depend_on_each_rows_context() -> None:
    class Shifted(Hierarchy):
        """Its upper latent lies about the context."""

        def __init__(self) -> None:
            super().__init__()
            self.context_event = Event((1,), Real())

        def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
            assert context is not None
            return -0.5 * (z[:, :1] - context).square().sum(1)

    z = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    assert Shifted().log_prior(z, context=torch.tensor([[0.0], [1.0], [3.0]])).tolist() == [-0.5, -0.5, 0.0]


def test_a_hierarchy_keeps_the_contract() -> None:
    check_model(Hierarchy(), verbose=False)


class Drawing(Decoder, Sampler):
    """A decoder that draws: x | z is a Bernoulli chain, each pixel given the one before it."""

    def __init__(self) -> None:
        super().__init__(PIXELS)
        self.start, self.weight = nn.Linear(2, 1), nn.Parameter(torch.tensor(2.0))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        pixels = [torch.bernoulli(self.start(z).squeeze(1).sigmoid())]
        for _ in range(3):
            pixels.append(torch.bernoulli((self.weight * (2 * pixels[-1] - 1)).sigmoid()))
        return torch.stack(pixels, 1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self._decode(torch.randn(n, 2, dtype=self.dtype), context)

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses(self.start(batch.x[:, :2]).mean() + self.weight * batch.x.mean())

        return [Phase("model", list(self.parameters()), loss)]


def test_a_decoder_that_draws_obeys_its_generator() -> None:
    model, z = Drawing(), torch.zeros(64, 2)
    first, same, other = (model.decode(z, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not isinstance(model, MeanDecoder)
    check_model(model, verbose=False)


class OneView(Sampler, BoundedDensity):
    """Two pixels of three levels, and a view that is drawn from them: a two-stage model that follows one view.

    The exact p(x) sums over both views, p(view) p(x | view); the bound keeps the view that is derived from x.
    """

    total_weight = "at most one"

    def __init__(self) -> None:
        super().__init__(Event((2,), Levels(3)))
        self.view = nn.Parameter(torch.randn(2))
        self.pixels = nn.Parameter(torch.randn(2, 2, 3))

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        view = (x.sum(1) >= 2).long()
        log_pixels = self.pixels.log_softmax(2)[view].gather(2, x.long()[:, :, None]).squeeze(2).sum(1)
        return (self.view.log_softmax(0)[view] + log_pixels).expand(samples, -1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        view = torch.multinomial(self.view.softmax(0), n, replacement=True)
        probabilities = self.pixels.softmax(2)[view].flatten(0, 1)
        return torch.multinomial(probabilities, 1).view(n, 2).to(self.dtype)

    def phases(self) -> Sequence[Phase]:
        return elbo_phase(self)


def test_a_bound_below_one_is_declared() -> None:
    report = check_model(OneView(), verbose=False)
    assert "the total probability is 1" in report.passed

    class TooMuch(OneView):
        def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
            return super()._log_weights(x, context, samples) + math.log(20)

    with pytest.raises(Exception, match="probabilities are at most 1|total probability"):
        check_model(TooMuch(), verbose=False)


class Tokens(ExactDensity):
    """Token ids, each by its embedding's score: ids come in as int64, and no arithmetic is done with them."""

    def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
        super().__init__(event, context_event=context_event)
        self.scores = nn.Embedding(event.values or 0, 1)
        self.seen: set[torch.dtype] = set()

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return None if isinstance(event.support, Categories) else "it models token ids"

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        self.seen.add(x.dtype)
        if context is not None:
            self.seen.add(context.dtype)
        return self.scores.weight.log_softmax(0)[x].squeeze(2).sum(1)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)


def test_token_ids_stay_integers() -> None:
    vocabulary = 40_001  # beyond the integers that bf16 and float16 can tell apart
    model = Tokens(Event((3,), Categories(vocabulary)), context_event=Event((2,), Categories(vocabulary)))
    x = torch.full((2, 3), vocabulary - 1)
    model.log_prob(x, context=x[:, :2])
    model.phases()[0].loss(model.prepare(Batch(x, context=x[:, :2])))
    assert model.seen == {torch.int64}
    with pytest.raises(InputError, match="categories have no order"):
        model.event.support.project(torch.zeros(1))
    with pytest.raises(InputError, match="must lie in Categories"):
        model.log_prob(x + 1, context=x[:, :2])
    check_model(Tokens(Event((3,), Categories(4))), verbose=False)


class Penalised(Sampler):
    """A critic with a gradient penalty on interpolates, and its generator: a double backward in a loss."""

    def __init__(self, monitor: str | None = None) -> None:
        super().__init__(Event((2,), Real()))
        self.generator = nn.Linear(2, 2)
        self.critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        self.monitor = monitor

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.generator(torch.randn(n, 2, dtype=self.dtype))

    def critic_loss(self, batch: Batch) -> Losses:
        real, fake = batch.x, self._sample(len(batch.x), None).detach()
        between = torch.lerp(real, fake, torch.rand(len(real), 1, dtype=self.dtype)).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = 10 * (slope.norm(dim=1) - 1).square().mean()
        return Losses(self.critic(fake).mean() - self.critic(real).mean() + penalty, {"penalty": penalty})

    def generator_loss(self, batch: Batch) -> Losses:
        return Losses(-self.critic(self._sample(len(batch.x), None)).mean())

    def phases(self) -> Sequence[Phase]:
        # The last bias adds the same to every value: no loss of differences moves it.
        critic = [*self.critic[0].parameters(), self.critic[2].weight]
        return [
            Phase("critic", critic, self.critic_loss),
            Phase("generator", list(self.generator.parameters()), self.generator_loss, every=5),
        ]


def test_a_gradient_penalty_passes_the_contract() -> None:
    model = Penalised()
    model.critic[2].bias.requires_grad_(False)
    check_model(model, verbose=False)


def test_private_names_of_modules_are_refused() -> None:
    with pytest.raises(TypeError, match="_apply, which torch.nn.Module uses for itself"):

        class Shadowing(Model):
            def _apply(self, x: Tensor) -> Tensor:
                return x

            def phases(self) -> Sequence[Phase]:
                return []


def test_phases_have_their_stages() -> None:
    with pytest.raises(InputError, match="two shares 0 <= starts < ends <= 1"):
        Phase("late", [], lambda batch: Losses(torch.zeros(())), starts=0.5, ends=0.5)
