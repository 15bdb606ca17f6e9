"""Vector arithmetic holds in a latent space whose directions are the factors, and in no other."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.data import load_data
from ancestral.data.shapes import COLOURS, SHAPES, render
from ancestral.evaluation import train_factor_classifier, vector_arithmetic
from ancestral.interface import InputError, MeanDecoder, Phase

DATA = load_data("shapes", n=1000)
COLOUR, SHAPE = len(COLOURS), len(SHAPES)


def drawn(colour: Tensor, shape: Tensor) -> Tensor:
    """Images of the given factors, upright and in the middle."""
    n = len(colour)
    fixed = {"size": torch.full((n,), 8.0), "x": torch.full((n,), 16.0), "y": torch.full((n,), 16.0)}
    return render({"colour": colour, "shape": shape, "rotation": torch.zeros(n), **fixed}).float()


def judge(x: Tensor) -> dict[str, Tensor]:
    """Sure of the factors of the nearest image."""
    pair = torch.arange(COLOUR * SHAPE)
    nearest = torch.cdist(x.float().flatten(1), drawn(pair // SHAPE, pair % SHAPE).flatten(1)).argmin(1)
    factors = {"colour": (nearest // SHAPE, COLOUR), "shape": (nearest % SHAPE, SHAPE)}
    return {name: F.one_hot(value, number).float().log() for name, (value, number) in factors.items()}


class Renderer(MeanDecoder):
    """Draws the colour and the shape that the largest latents name."""

    latents = COLOUR + SHAPE

    def phases(self) -> list[Phase]:
        return []

    @property
    def latent_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"z": (self.latents,)}

    def named(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z[:, :COLOUR].argmax(1), z[:, COLOUR:].argmax(1)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return drawn(*self.named(z))


class Entangled(Renderer):
    """One latent for each pair of a colour and a shape: the sum of two pairs is never a third."""

    latents = COLOUR * SHAPE

    def named(self, z: Tensor) -> tuple[Tensor, Tensor]:
        pair = z.argmax(1)
        return pair // SHAPE, pair % SHAPE


def test_arithmetic_works_where_each_factor_has_directions_of_its_own() -> None:
    result = vector_arithmetic(Renderer(DATA.event), DATA, exemplars=30, samples=6000, judge=judge)
    assert (result.sums, result.possible, result.factors) == (8 * 7 * 5 * 4, 8 * 7 * 5 * 4, ("colour", "shape"))
    assert result.error < 0.1
    # Pixels do not: what one shape has and the other lacks keeps the colour of its term.
    assert result.pixel_error > 0.3
    assert result.guessing_error == 1 - 1 / 40
    assert result.examples.shape == (32, 3, 32, 32)
    # Three exemplars, as in the paper, are few: their means are too noisy even here.
    few = vector_arithmetic(Renderer(DATA.event), DATA, exemplars=3, samples=6000, judge=judge)
    assert 0.3 < few.error < 0.55
    assert few.ideal_error == pytest.approx(few.error, abs=0.1)
    assert result.ideal_error == pytest.approx(result.error, abs=0.05)
    entangled = vector_arithmetic(Entangled(DATA.event), DATA, exemplars=30, samples=6000, judge=judge)
    assert entangled.error > 0.9


def test_a_concept_that_is_not_drawn_counts_as_a_failure() -> None:
    class Monochrome(Renderer):
        """It has never drawn anything in the last colour."""

        def named(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return z[:, : COLOUR - 1].argmax(1), z[:, COLOUR:].argmax(1)

    result = vector_arithmetic(Monochrome(DATA.event), DATA, exemplars=30, samples=6000, judge=judge)
    # 14 of the 56 pairs of colours have the last one.
    assert result.possible == 42 * 20
    assert 1 / 4 <= result.error < 1 / 4 + 0.1
    assert result.error_of_possible < 0.1
    with pytest.raises(InputError, match="draws too few of the 40 concepts for any sum: 0; train it longer"):
        vector_arithmetic(Renderer(DATA.event), DATA, exemplars=30, samples=40, judge=judge)


def test_the_classifier_reads_factors_off_images_and_names_those_it_can_learn() -> None:
    log_probs = train_factor_classifier(DATA.train, ("colour", "shape")).read(DATA.test.x)
    right = {name: float((p.argmax(1) == DATA.test.factors[name]).float().mean()) for name, p in log_probs.items()}
    assert right["colour"] > 0.9
    assert right["shape"] > 0.5
    torch.testing.assert_close(log_probs["shape"].exp().sum(1), torch.ones(len(DATA.test)))
    with pytest.raises(InputError, match="no categorical factor 'size'; it has shape, colour"):
        train_factor_classifier(DATA.train, ("size",))
    with pytest.raises(InputError, match="no categorical factor 'shape'; it has none"):
        train_factor_classifier(load_data("digits").train, ("shape",))
