"""Captions read back: what is asked of a model that draws what it is told, and of one that does not."""

import pytest
from torch import Tensor

from ancestral.data import Data, load_data
from ancestral.evaluation import CaptionReading, captions, read_captions
from ancestral.interface import InputError, Phase, Sampler


class Told(Sampler):
    """Draws for a caption the real image that has it, `off` rows away."""

    def __init__(self, data: Data, off: int) -> None:
        super().__init__(data.event, context_event=data.context_event)
        self.rows, self.images, self.off = data.test.captions, data.test.x, off

    def phases(self) -> list[Phase]:
        return []

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        assert context is not None
        assert self.rows is not None
        found = [int((self.rows == row).all(1).nonzero()[0]) for row in context]
        return self.images.roll(-self.off, 0)[found].float()


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Data:
    """Shapes, and a classifier in place of the trained one that knows the test images."""
    data = load_data("shapes", n=600, levels=8, context="captions")
    words = captions._varying(data.train.captions)

    class Judge:
        def read(self, x: Tensor) -> dict[str, Tensor]:
            rows = [int((data.test.x == image.to(data.test.x)).flatten(1).all(1).nonzero()[0]) for image in x]
            assert data.test.captions is not None
            tokens = data.test.captions[rows]
            one_hot = {
                f"word {place + 1}": (tokens[:, place, None] == values).float() for place, values in words.items()
            }
            return one_hot

    monkeypatch.setattr(captions, "train_word_classifier", lambda *_, **__: Judge())
    return data


def read(data: Data, off: int) -> CaptionReading:
    return read_captions(Told(data, off), data, n=60)


def test_what_is_told_is_read_back(data: Data) -> None:
    found = read(data, 0)
    # Size, colour, shape, row, column, and whether it is rotated; ', rotated' stands at two places.
    assert list(found.by_place) == ["word 2", "word 3", "word 4", "word 7", "word 8", "word 9"]
    assert found.classifier_error == 0
    assert found.error < 0.01
    assert found.of_other_captions > 0.4


def test_what_is_not_told_is_read_as_guessing(data: Data) -> None:
    found = read(data, 1)
    # Independent words agree by chance as often as two draws of them do.
    agree = 1 - (1 / 3 + 1 / 8 + 1 / 5 + 1 / 3 + 1 / 3) / 6
    assert found.error == pytest.approx(agree - 0.5 / 6, abs=0.1)
    assert found.guessing_error < found.error + 0.05
    assert found.stderr < 0.05


def test_a_model_that_is_told_nothing_is_refused(data: Data) -> None:
    model = Told(data, 0)
    model.context_event = None
    with pytest.raises(InputError, match="draws of no captions"):
        read_captions(model, data)
