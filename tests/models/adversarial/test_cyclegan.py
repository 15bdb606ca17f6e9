"""CycleGAN: its losses by hand, the pool's law, the optimum of least squares, and what a few steps learn."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ancestral.data import load_data
from ancestral.interface import Adam, Batch, Binary, Event, InputError, Levels, Real
from ancestral.layers.translation_networks import PatchDiscriminator, ResidualGenerator, reach
from ancestral.models.adversarial._image_pool import ImagePool
from ancestral.models.adversarial.cyclegan import CycleGAN, least_squares
from ancestral.registry import build
from ancestral.training import fit

GREY = Event((1, 8, 8), Levels(5))


class Constant(nn.Module):
    """A network that says the same of every image: a picture of one value, or one judgement of each of four patches."""

    def __init__(self, value: float, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.value, self.shape = nn.Parameter(torch.tensor(value)), shape

    def forward(self, x: Tensor) -> Tensor:
        return self.value.expand(len(x), *self.shape)


class Recolours(nn.Module):
    """x -> scale x + shift on the networks' scale."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(shift))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.shift


def game(generators: list[nn.Module], judgements: tuple[float, float] = (0.0, 0.0), **settings: object) -> CycleGAN:
    """The game between given generators, to A and to B, and discriminators of A and of B that are constants."""
    model = CycleGAN(GREY, channels=2, blocks=0, halvings=1, **settings)
    model.generators = nn.ModuleList(generators)
    model.discriminators = nn.ModuleList(Constant(judgement, (1, 2, 2)) for judgement in judgements)
    return model.train()


def batch(first: float, second: float, n: int = 3) -> Batch:
    """Plain images of these two levels, one domain after the other."""
    x = torch.tensor([first, second]).repeat_interleave(n).view(-1, 1, 1, 1).expand(-1, *GREY.shape)
    return Batch(x, torch.arange(2).repeat_interleave(n))


def test_the_generators_loss_on_constant_networks_is_the_papers() -> None:
    """Levels 1 and 4 of 0..4 are -0.5 and 1 to the networks; to A leads the constant 0.25, to B -0.75."""
    model = game([Constant(0.25, GREY.shape), Constant(-0.75, GREY.shape)], (0.3, -0.2), cycle_weight=10.0)
    losses = model.phases()[0].loss(batch(1, 4))
    # A translation to B is judged by D_B, -0.2, and comes back as 0.25 where it was -0.5; one to A the other way.
    adversarial = (-0.2 - 1) ** 2 + (0.3 - 1) ** 2
    cycle = abs(0.25 - -0.5) + abs(-0.75 - 1)
    identity = abs(0.25 - -0.5) + abs(-0.75 - 1)  # of A by what leads to A, of B by what leads to B
    parts = {name: part.item() for name, part in losses.parts.items()}
    assert parts == pytest.approx({"adversarial": adversarial, "cycle": cycle, "identity": identity})
    assert losses.total.item() == pytest.approx(adversarial + 10 * cycle + 5 * identity)


def test_each_part_counts_by_its_weight() -> None:
    generators = [Recolours(0.5, 0.1), Recolours(-0.7, 0.2)]
    for cycle_weight, identity_weight in ((10.0, 0.5), (3.0, 0.0), (0.0, 0.5)):
        model = game(generators, cycle_weight=cycle_weight, identity_weight=identity_weight)
        losses = model.phases()[0].loss(batch(1, 4))
        # -0.5 there is 0.55, and back 0.375; 1 there is 0.6, and back -0.22. As they are: -0.15, and -0.5.
        cycle, identity = abs(0.375 + 0.5) + abs(-0.22 - 1), abs(-0.15 + 0.5) + abs(-0.5 - 1)
        assert losses.parts["cycle"].item() == pytest.approx(cycle)
        assert losses.total.item() == pytest.approx(2 + cycle_weight * (cycle + identity_weight * identity))


def test_the_way_back_is_the_inverse_at_no_cycle_loss() -> None:
    x = Batch(torch.randint(5, (6, *GREY.shape)), torch.arange(6) % 2)
    identities = game([Recolours(1.0, 0.0), Recolours(1.0, 0.0)]).phases()[0].loss(x)
    assert identities.parts["cycle"] == identities.parts["identity"] == 0
    inverses = game([Recolours(2.0, -0.5), Recolours(0.5, 0.25)]).phases()[0].loss(x)
    assert inverses.parts["cycle"].item() == pytest.approx(0, abs=1e-6)
    assert inverses.parts["identity"] > 0.1


def test_the_discriminators_loss_on_constant_networks_is_halved() -> None:
    model = game([Recolours(1.0, 0.0), Recolours(1.0, 0.0)], (0.3, -0.2))
    losses = model.phases()[1].loss(batch(1, 4))
    expected = 0.5 * ((0.3 - 1) ** 2 + 0.3**2 + (-0.2 - 1) ** 2 + 0.2**2)
    assert losses.total.item() == pytest.approx(expected)


def test_each_discriminator_sees_its_domain_and_translations_into_it() -> None:
    """Discriminators that answer with the mean of the image: D_A sees A (-0.5) and what leads to A (0.25) alone."""

    class Mean(nn.Module):
        def __init__(self, place: float) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.tensor(place))

        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3), keepdim=True) + self.shift

    model = game([Constant(0.25, GREY.shape), Constant(-0.75, GREY.shape)], pool=0)
    model.discriminators = nn.ModuleList([Mean(0.0), Mean(0.1)])
    parts = model.phases()[1].loss(batch(1, 4)).parts
    assert parts["real"].item() == pytest.approx((-0.5 - 1) ** 2 + (1.1 - 1) ** 2)
    assert parts["fake"].item() == pytest.approx(0.25**2 + (-0.75 + 0.1) ** 2)
    adversarial = model.phases()[0].loss(batch(1, 4)).parts["adversarial"]
    assert adversarial.item() == pytest.approx((0.25 - 1) ** 2 + (-0.65 - 1) ** 2)


def test_the_optimum_of_least_squares_is_the_share_of_the_real() -> None:
    """D* = p / (p + p_G), where half the expected loss is the integral of p p_G / (p + p_G) / 2 (Mao et al. 2017)."""
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.3, 0.6])
    judgement = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.LBFGS([judgement], max_iter=20)

    def loss() -> Tensor:
        optimizer.zero_grad()
        each = [
            w[i] * least_squares(judgement[i : i + 1], target) for i in range(3) for w, target in ((p, 1.0), (q, 0.0))
        ]
        total = 0.5 * torch.stack(each).sum()
        total.backward()
        return total

    optimizer.step(loss)
    torch.testing.assert_close(judgement.detach(), p / (p + q))
    assert loss().item() == pytest.approx(0.5 * (p * q / (p + q)).sum().item())


def test_translations_are_in_data_space_and_each_domain_has_a_generator_that_leads_to_it() -> None:
    """To A as it is, to B inverted: level l of 0..4 is 4 - l."""
    model = game([Recolours(1.0, 0.0), Recolours(-1.0, 0.0)])
    x = torch.randint(5, (6, *GREY.shape))
    assert torch.equal(model.translate(x, to="A").long(), x)
    assert torch.equal(model.translate(x, to="B").long(), 4 - x)


def test_generators_learn_from_the_discriminators_alone_where_cycles_do_not_count() -> None:
    model = CycleGAN(GREY, channels=2, blocks=1, halvings=1, cycle_weight=0.0).train()
    generators, _ = model.phases()
    generators.loss(Batch(torch.randint(5, (8, *GREY.shape)), torch.arange(8) % 2)).total.backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in generators.parameters)


def test_phases_leave_each_others_networks_out_of_the_graph() -> None:
    model = CycleGAN(GREY, channels=2, blocks=1, halvings=1).train()
    generators, discriminators = model.phases()
    x = Batch(torch.randint(5, (8, *GREY.shape)), torch.arange(8) % 2)
    discriminators.loss(x).total.backward()
    assert all(p.grad is None for p in generators.parameters)
    assert all(p.grad is not None for p in discriminators.parameters)
    assert {*generators.parameters, *discriminators.parameters} == set(model.parameters())
    assert not any(pool.images.requires_grad for pool in model.pools)


# -- The pool ----------------------------------------------------------------------------------------------------------


def numbers(start: int, n: int) -> Tensor:
    return torch.arange(start, start + n).view(n, 1).float()


def test_the_pool_returns_what_comes_until_it_is_full() -> None:
    pool = ImagePool(10, (1,))
    for start in (0, 4):
        assert torch.equal(pool.exchange(numbers(start, 4)), numbers(start, 4))
    assert torch.equal(pool.images[:8], numbers(0, 8))
    # Ten are kept of these twelve; only the last two may be exchanged, and only for one that was kept.
    last = pool.exchange(numbers(8, 4))
    assert torch.equal(last[:2], numbers(8, 2))
    assert int(pool.filled) == 10


def test_a_full_pool_exchanges_half_of_what_comes_for_any_of_its_images_alike() -> None:
    """Each exchange puts the new image in the place of the one that is returned: nothing comes twice or is lost."""
    torch.manual_seed(0)
    size, n, rounds = 5, 3, 1000
    pool = ImagePool(size, (1,))
    pool.exchange(numbers(0, size))
    fresh, ages = 0, []
    seen = set(range(size))
    for step in range(rounds):
        before, new = set(pool.images[:size, 0].tolist()), numbers(size + step * n, n)
        out = pool.exchange(new)
        after = set(pool.images[:size, 0].tolist())
        assert sorted([*before, *new[:, 0].tolist()]) == sorted([*after, *out[:, 0].tolist()])
        for given, got in zip(new[:, 0].tolist(), out[:, 0].tolist(), strict=True):
            fresh += given == got
            if given != got:
                ages.append(step - (got - size) // n)
                seen.add(got)
    total = rounds * n
    assert abs(fresh - total / 2) < 4 * math.sqrt(total / 4)
    # A place is taken with probability n / (2 size) in a step: a returned image has waited a geometric time.
    rate = n / (2 * size)
    waited = torch.tensor([age for age in ages if age <= 100], dtype=torch.float64)
    assert waited.mean().item() == pytest.approx(1 / rate, abs=4 * math.sqrt(1 - rate) / rate / math.sqrt(len(waited)))


def test_a_batch_larger_than_the_pool_and_no_pool() -> None:
    torch.manual_seed(0)
    pool = ImagePool(2, (1,))
    out = pool.exchange(numbers(0, 9))
    assert sorted([*out[:, 0].tolist(), *pool.images[:2, 0].tolist()]) != sorted(out[:, 0].tolist())
    assert len({*out[:, 0].tolist(), *pool.images[:2, 0].tolist()}) == 9
    assert torch.equal(ImagePool(0, (1,)).exchange(numbers(0, 9)), numbers(0, 9))


def test_a_discriminator_learns_on_earlier_translations() -> None:
    """After generators that drew 0.25 and -0.75 come others; half of what the discriminators see is still the old."""
    model = game([Constant(0.25, GREY.shape), Constant(-0.75, GREY.shape)], pool=4)
    phase = model.phases()[1]
    phase.loss(batch(1, 4, n=4))
    model.generators = nn.ModuleList([Constant(0.9, GREY.shape), Constant(0.8, GREY.shape)])
    seen: list[Tensor] = []
    model.discriminators[1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0][:, 0, 0, 0]))
    torch.manual_seed(0)
    phase.loss(batch(1, 4, n=4))
    assert sorted({round(value, 3) for value in seen[-1].tolist()}) == [-0.75, 0.8]


# -- Networks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [(8, 8), (28, 28), (31, 17), (9, 40)])
def test_any_sides(sides: tuple[int, int]) -> None:
    event = Event((3, *sides), Levels(256))
    model = CycleGAN(event, channels=2, blocks=1, domains=("a", "b"))
    x = torch.randint(256, (2, *event.shape))
    for domain in model.domains:
        found = model.translate(x, to=domain)
        event.check(found)
        assert found.shape == x.shape


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_judgement_depends_on_its_patch_alone(layers: int) -> None:
    """The paper's 70 x 70 with three layers. Without the norm, whose statistics are of the whole image."""
    assert [reach(n) for n in (1, 2, 3)] == [16, 34, 70]
    side = 2 * reach(layers)
    network = PatchDiscriminator(1, 2, layers).double()
    for name, module in list(network.layers.named_children()):
        if isinstance(module, nn.InstanceNorm2d):
            network.layers[int(name)] = nn.Identity()
    x = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    judgements = network(x)[0, 0]
    middle = judgements[judgements.shape[0] // 2, judgements.shape[1] // 2]
    (gradient,) = torch.autograd.grad(middle, x)
    rows = (gradient[0, 0].abs().sum(1) > 0).nonzero()[:, 0]
    assert int(rows[-1] - rows[0]) + 1 == reach(layers)


def test_the_layout_is_the_papers() -> None:
    """c7s1-64, d128, d256, R256 x 6, u128, u64, c7s1-3; C64-C128-C256-C512."""
    model = CycleGAN(Event((3, 128, 128), Levels(256)))
    convolutions = [m for m in model.generators[0].modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, *[256] * 12, 128, 64, 3]
    assert [c.kernel_size[0] for c in convolutions] == [7, *[3] * 16, 7]
    judges = [m for m in model.discriminators[0].modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in judges] == [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]
    norms = [m for m in model.discriminators[0].modules() if isinstance(m, nn.InstanceNorm2d)]
    assert [n.num_features for n in norms] == [128, 256, 512]


def test_a_residual_block_of_zero_weights_is_the_identity_and_tanh_bounds_levels() -> None:
    network = ResidualGenerator(1, 2, 3, 1, nn.Tanh())
    x = torch.randn(2, 4, 5, 5)
    for parameter in network.blocks.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(network.blocks(x), x)
    for support, top in ((Binary(), 1.0), (Levels(5), 4.0)):
        model = CycleGAN(Event((1, 8, 8), support), channels=2, blocks=1, halvings=1)
        with torch.no_grad():
            for generator in model.generators:
                generator.outwards[1].weight.mul_(1000)
        found = model.translate(torch.randint(2, (50, 1, 8, 8)), to="B").detach()
        assert (float(found.min()), float(found.max())) == (0.0, top)


# -- Learning ----------------------------------------------------------------------------------------------------------


def test_a_short_game_finds_the_other_domain() -> None:
    """Dark and bright images, each with a bright corner at one of four places: it stays where it is."""
    torch.manual_seed(0)
    model = CycleGAN(Event((1, 8, 8), Real()), channels=4, blocks=1, halvings=1, domains=("dark", "bright")).train()

    def images(n: int, ground: float) -> Tensor:
        x = torch.full((n, 1, 8, 8), ground) + 0.05 * torch.randn(n, 1, 8, 8)
        for i, corner in enumerate(torch.randint(4, (n,)).tolist()):
            x[i, 0, 4 * (corner // 2) :, 4 * (corner % 2) :][:4, :4] += 0.8
        return x

    phases = model.phases()
    optimizers = [Adam(2e-3, betas=(0.5, 0.999)).build(phase.parameters) for phase in phases]
    for _ in range(100):
        x = Batch(torch.cat([images(8, -0.8), images(8, 0.0)]), torch.arange(2).repeat_interleave(8))
        for phase, optimizer in zip(phases, optimizers, strict=True):
            model.zero_grad()
            phase.loss(x).total.backward()
            optimizer.step()
    dark = images(64, -0.8)
    bright = model.eval().translate(dark, to="bright").detach()
    assert (bright - dark - 0.8).abs().mean() < 0.25
    assert (model.translate(bright, to="dark") - dark).abs().mean() < 0.25
    assert (model.translate(dark, to="dark") - dark).abs().mean() < 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domains": ["a", "a"]}, r"domains must be the names of two different domains, got \['a', 'a'\]"),
        ({"domains": ["a", "b", "c"]}, "two different domains"),
        ({"channels": 0}, "channels and discriminator_channels must be at least 1"),
        ({"blocks": -1}, "blocks and halvings at least 0"),
        ({"halvings": 3}, "halvings=3 leaves less than 2 pixels"),
        ({"patch_layers": 2}, "patch_layers=2 does not fit"),
        ({"cycle_weight": -1.0}, "cycle_weight and identity_weight must be numbers of at least 0"),
        ({"pool": -1}, "pool must be at least 0"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CycleGAN(GREY, **settings)


def test_bad_events_and_batches() -> None:
    assert CycleGAN.supports(GREY) is None
    assert "not (64,)" in str(CycleGAN.supports(Event((64,), Real())))
    assert "at least 8 pixels" in str(CycleGAN.supports(Event((1, 7, 9), Real())))
    assert "without a context" in str(CycleGAN.supports(GREY, Event((), Levels(3))))
    model = CycleGAN(GREY, channels=2, blocks=0, halvings=1, domains=("day", "night"))
    for y, message in ((None, "labelled 0 and those of night 1"), (torch.zeros(4).long(), "4 images of day and 0 of")):
        with pytest.raises(InputError, match=message):
            model.phases()[0].loss(Batch(torch.zeros(4, *GREY.shape), y))
    with pytest.raises(InputError, match=r"to must be one of \('day', 'night'\)"):
        model.translate(torch.zeros(4, *GREY.shape), to="dusk")


def test_a_resumed_run_ends_with_the_very_weights_and_pools(tmp_path: Path) -> None:
    data = load_data("digits", twin="inverted")
    settings = {"batch_size": 256, "seed": 1, "progress": False}

    def run(folder: str, *budgets: int) -> CycleGAN:
        for steps in budgets:
            torch.manual_seed(0)
            model = build("cyclegan", data, channels=2, blocks=0, halvings=1, pool=100)
            resume = (tmp_path / folder).exists()
            fit(model, data, steps=steps, run_dir=tmp_path / folder, resume=resume, **settings)
        assert isinstance(model, CycleGAN)
        return model

    whole, parts = run("whole", 4), run("parts", 3, 4)
    assert all(map(torch.equal, whole.parameters(), parts.parameters()))
    # 3 x 128 translations overfill the pools: what they hold, and what is drawn of them, goes on as well.
    assert int(parts.pools[0].filled) == 100
    for pool, resumed in zip(whole.pools, parts.pools, strict=True):
        assert torch.equal(pool.images, resumed.images)
    assert not any(name.startswith("pools") for name in whole.state_dict())
