"""Where pictures of a latent space start: at codes of observations, or at draws of the prior."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ancestral.cli.contexts import classes_to_draw, contexts_to_draw_at, in_turn
from ancestral.cli.runs import Run, first_rows
from ancestral.cli.sources import add_run_flags
from ancestral.dequantization import DequantizedDensity
from ancestral.evaluation import LatentSpread, activity, class_input, latent_spread
from ancestral.interface import Decoder, Encoder, InputError, StagedDensity

#: Rows by whose codes a latent space is known.
_ROWS = 1000


@dataclass(frozen=True)
class Codes:
    """Latents, (n, latent), the contexts to decode them with, (n, *context_event.shape) or None, and what they are."""

    z: Tensor
    context: Tensor | None
    origin: str

    def row(self, i: int) -> "Codes":
        """One of them, as (1, ...)."""
        return Codes(self.z[i : i + 1], None if self.context is None else self.context[i : i + 1], self.origin)


def decoder_of(run: Run) -> Decoder:
    """The model of the run, if it has a latent space."""
    model = run.model
    if isinstance(model, Decoder):
        return model
    hint = "it is no Decoder (see `ancestral models`)"
    if isinstance(model, DequantizedDensity) and isinstance(model.inner, Decoder):
        hint = "on integers its latents are those of noisy rows; fit it with `--support real` for a latent space"
    raise InputError(f"{model.registered_name} in {run.path} has no latent space: {hint}")


def add_start_flags(parser: ArgumentParser, output: str) -> None:
    """RUN, DATA, `--class`, `--seed` and `-o`: what says where a picture starts, and where it goes."""
    add_run_flags(parser, device=False)
    parser.add_argument(
        "--class", dest="label", metavar="CLASS", help="start at draws of the prior of this class, and not at DATA"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn: the start, without an encoder")
    parser.add_argument("-o", "--output", default=output, help="a .png picture")


def movable_decoder_of(run: Run) -> Decoder:
    """The model of the run, if it has a latent space in which codes can be moved."""
    model = decoder_of(run)
    if isinstance(model, StagedDensity):
        raise InputError(
            f"the latents of {model.registered_name} in {run.path} are views of the data"
            f" ({', '.join(model.latent_shapes)}), and there is no way from one to another; `ancestral reconstruct"
            f" {run.path}` draws what they leave open"
        )
    return model


def starting_codes(run: Run, n: int, args: Namespace, options: Mapping[str, Any], generator: torch.Generator) -> Codes:
    """The codes of the first `n` observations; of a model without an encoder, or of a class, `n` draws of the prior."""
    model = movable_decoder_of(run)
    _check_data(model, args)
    if isinstance(model, Encoder) and args.label is None:
        x, context = first_rows(run.rows(args.data, args.split, args.data_root, options), n)
        return Codes(model.encode(x, context=context).mean, context, "observations")
    return drawn_codes(run, n, args.label, args.data_root, generator)


def _check_data(model: Decoder, args: Namespace) -> None:
    """Refuse DATA that would not be looked at."""
    if args.data is not None and (args.label is not None or not isinstance(model, Encoder)):
        why = "--class draws from the prior" if isinstance(model, Encoder) else f"{model.registered_name} is no Encoder"
        raise InputError(f"{why}, so {args.data} is not needed; leave it out")


def drawn_codes(run: Run, n: int, label: str | None, data_root: str | None, generator: torch.Generator) -> Codes:
    """`n` draws of the prior, of the class `label` (or each of 'all' in turn) where the model is told one."""
    model = movable_decoder_of(run)
    how = class_input(model)
    if label is not None and how is not None and how.latent is not None:
        labels, said = classes_to_draw(run, how.classes, label)
        z = how.draw(model, labels[torch.arange(n) % len(labels)], generator)
        return Codes(z, None, f"draws of the prior{said}")
    contexts, said = contexts_to_draw_at(run, n, label, data_root)
    context = in_turn(contexts, 0, n)
    z = model.sample_latents(n, context=context, generator=generator)
    return Codes(z, context, f"draws of the prior{said}")


# -- About one point --------------------------------------------------------------------------------------------------


def add_point_flags(parser: ArgumentParser, output: str, axes: str) -> None:
    """What says about which point of a latent space a picture is, and which dimensions it moves."""
    add_start_flags(parser, output)
    parser.add_argument(
        "--row", type=int, default=0, help="the row of DATA at whose code the other latents stay, counted from 0"
    )
    parser.add_argument("--axes", help=f"{axes}; counted from 0 with commas between")


class LatentSpace:
    """The latent space of a run, about the point that a command line names."""

    def __init__(self, run: Run, args: Namespace, options: Mapping[str, Any]) -> None:
        if args.row < 0:
            raise InputError(f"--row is counted from 0, got {args.row}")
        self.run, self.args, self.options = run, args, options
        self.model = movable_decoder_of(run)
        _check_data(self.model, args)
        self.generator = torch.Generator().manual_seed(args.seed)

    @cached_property
    def rows(self) -> Codes:
        """The codes of observations."""
        args = Namespace(**{**vars(self.args), "label": None})
        return starting_codes(self.run, max(_ROWS, args.row + 1), args, self.options, self.generator)

    @cached_property
    def point(self) -> Codes:
        """One code: of the row, or a draw of the prior; its one-hot latents are one-hot, and no probabilities."""
        if isinstance(self.model, Encoder) and self.args.label is None:
            rows, row = self.rows, self.args.row
            if row >= len(rows.z):
                raise InputError(f"--row must be below the {len(rows.z)} rows that there are, got {row}")
            point = rows.row(row)
            point = Codes(point.z, point.context, f"row {row}")
        else:
            point = starting_codes(self.run, 1, self.args, self.options, self.generator)
            point = Codes(point.z, point.context, point.origin.replace("draws", "a draw", 1))
        return Codes(self._spread(point.context).hardened(point.z), point.context, point.origin)

    @cached_property
    def spread(self) -> LatentSpread:
        return self._spread(None if self.model.context_event is None else self.point.context)

    def _spread(self, context: Tensor | None) -> LatentSpread:
        codes = None if self.model.has_prior else self.rows.z
        return latent_spread(self.model, codes, context, torch.Generator().manual_seed(0))

    @cached_property
    def activity(self) -> Tensor | None:
        """How much each dimension is used, (latent,); None of a model that encodes nothing."""
        return activity(self.rows.z, self.spread) if isinstance(self.model, Encoder) else None

    def most_active(self, n: int) -> list[int]:
        """The `n` continuous dimensions that the codes vary along most; the first ones without codes."""
        free, used = self.spread.continuous, self.activity
        return free[:n] if used is None else [free[i] for i in used[free].argsort(descending=True)[:n].tolist()]

    @property
    def chosen(self) -> list[int] | None:
        """The dimensions that `--axes` names; None where it names none."""
        if self.args.axes is None:
            return None
        size, free = self.model.latent_size, self.spread.continuous
        axes = [int(word) if word.strip().isdecimal() else -1 for word in self.args.axes.split(",")]
        if not all(0 <= axis < size for axis in axes) or len(set(axes)) < len(axes):
            raise InputError(f"--axes must be different numbers from 0 to {size - 1}, got {self.args.axes!r}")
        if fixed := [axis for axis in axes if axis not in free]:
            name = next(name for name, places in self.spread.one_hot.items() if fixed[0] in places)
            raise InputError(
                f"--axes {fixed[0]} is part of {name!r}, which is one-hot: it does not move little by little"
            )
        return axes

    def rest(self, moved: int) -> str:
        """What to say of the latents that do not move where so many do, and of the context."""
        if moved < self.model.latent_size:
            return f", the others those of {self.point.origin}"
        return f", in the context of {self.point.origin}" if self.point.context is not None else ""

    @property
    def scale(self) -> str:
        """What one step of an axis is."""
        if not self.model.has_prior:
            return "standard deviations of the codes"
        free = self.spread.continuous
        standard = bool((self.spread.mean[free] == 0).all() & (self.spread.std[free] == 1).all())
        return "standard deviations" if standard else "standard deviations of the prior's draws"
