"""What figures do with adversarial models beyond a fit: one player on its own, a generator whose density is known."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from ancestral.interface import InputError, Model, Phase


class OnePlayer(Model):
    """A game of which `fit` runs one phase alone: the other players' parameters do not move.

    Args:
        game: a model of several phases; it is trained in place.
        phase: the name of the one that runs.
        after_step: called after each step of it with how many there were.
    """

    monitor = None

    def __init__(self, game: Model, phase: str, after_step: Callable[[int], None] | None = None) -> None:
        super().__init__(game.event, context_event=game.context_event)
        if phase not in (names := [candidate.name for candidate in game.phases()]):
            raise InputError(f"{type(game).__name__} has no phase {phase!r}; it has {', '.join(names)}")
        self.game, self.phase, self.steps = game, phase, 0
        self.standardization = game.standardization
        self._after_step = after_step

    def phases(self) -> Sequence[Phase]:
        (own,) = (phase for phase in self.game.phases() if phase.name == self.phase)

        def after_step() -> None:
            if own.after_step is not None:
                own.after_step()
            self.steps += 1
            if self._after_step is not None:
                self._after_step(self.steps)

        return [replace(own, every=1, after_step=after_step)]


def linear_generator(game: Model) -> nn.Linear:
    """The map of a generator without hidden layers, whose density is a Gaussian."""
    generator = game.get_submodule("generator")
    layers = [module for module in generator.modules() if isinstance(module, nn.Linear)]
    if len(layers) != 1:
        raise InputError(f"a linear generator has one layer, got {len(layers)}: build the model with hidden=[]")
    return layers[0]
