"""Images of any sides go down to a small map and back, each row by itself."""

import pytest
import torch

from ancestral.interface import Binary, Categories, Event, InputError
from ancestral.layers.residual_images import Pyramid, ResidualDecoder, ResidualEncoder


@pytest.mark.parametrize(
    ("image", "smallest"),
    [
        ((1, 1, 2), (4, 1, 2)),
        ((1, 7, 7), (4, 7, 7)),
        ((1, 8, 5), (4, 4, 3)),
        ((1, 28, 28), (8, 7, 7)),
        ((3, 33, 60), (16, 3, 4)),
    ],
)
def test_sides_are_halved_to_at_most_seven_and_come_back(
    image: tuple[int, int, int], smallest: tuple[int, int, int]
) -> None:
    event = Event(image, Binary())
    pyramid = Pyramid(event, 4, 1)
    assert (pyramid.smallest, pyramid.size) == (smallest, smallest[0] * smallest[1] * smallest[2])
    maps = ResidualEncoder(event, Event((), Categories(3)), pyramid)(torch.rand(2, *image), torch.tensor([0, 2]))
    assert maps.shape == (2, *smallest)
    assert ResidualDecoder(pyramid)(maps).shape == (2, 4, *image[1:])


def test_rows_stand_alone() -> None:
    event = Event((1, 9, 9), Binary())
    pyramid = Pyramid(event, 4, 2)
    encoder, decoder, x = ResidualEncoder(event, None, pyramid), ResidualDecoder(pyramid), torch.rand(5, 1, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(decoder(encoder(x, None))[3:4], decoder(encoder(x[3:4], None)))


def test_there_are_channels() -> None:
    with pytest.raises(InputError, match="channels must be at least 1"):
        Pyramid(Event((1, 9, 9), Binary()), 0, 1)
