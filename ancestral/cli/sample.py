"""`ancestral sample`: draw observations from a run, as a picture or as data."""

import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ancestral.cli.contexts import classes_to_draw, contexts_of_rows, contexts_to_draw_at, in_turn, rows_drawn_at
from ancestral.cli.parsing import parse, whole_number
from ancestral.cli.runs import Run, open_run
from ancestral.cli.sources import data_options_of, describe_options
from ancestral.cli.writing import check_space, write_arrays, write_lines, write_table
from ancestral.data import Split, columns_in_figures, in_units, save_sounds, text_of
from ancestral.data.arrays import as_stored
from ancestral.evaluation import ClassInput, class_input, decoded, takes_class
from ancestral.interface import AnyLength, Autoregressive, Columns, Decoder, InputError, MeanDecoder, Real, Sampler
from ancestral.output import check_folder, check_output, counted
from ancestral.plots import (
    class_grid_figure,
    given_figure,
    kind_of,
    number_shown,
    samples_figure,
    save_animation,
    save_figure,
    save_images,
)

if TYPE_CHECKING:
    import pandas

#: A name, so many rows, and what makes them in parts.
_Array: TypeAlias = tuple[str, int, Callable[[], Iterator[Tensor]]]
#: Drawn at once: bounds the memory.
_BATCH = 256
#: Rows of which there are several draws each, and how many of each where nobody says.
_ROWS, _EACH = 8, 4
#: In a picture or a folder.
_MOST_AT_ONCE = 10_000


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a name or a path: draw at the contexts of its rows, as colourings of your own images, grey ones too"
        " (default: what the run trained on); its options as --data.NAME VALUE",
    )
    parser.add_argument(
        "-n",
        "--number",
        type=whole_number,
        help="how many (default: 64, or 8 videos; with --class all, 8 of each class)",
    )
    parser.add_argument(
        "--class",
        dest="label",
        metavar="CLASS",
        help="the class by its name or number, for a model of labels, or all; of factors one each, as 3,theo",
    )
    parser.add_argument("--length", type=whole_number, help="how many steps, of sound or text: any number (WaveNet)")
    parser.add_argument("--caption", help='for a model of captions: "a red circle ..."')
    parser.add_argument(
        "--each",
        type=whole_number,
        help=f"so many draws given the context of each of -n rows (default: {_ROWS}) of DATA, or of test rows, as"
        f" colourings of a grey image (with DATA: {_EACH}); a .png shows what is given, the draws and the real row side"
        " by side",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="of an autoregressive model: below 1 its draws are likelier, and less varied",
    )
    parser.add_argument("--data-root", help="where the data lie, for a model conditioned on something else than labels")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same samples")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "-o",
        "--output",
        default="samples.png",
        help="a .png picture, a .gif of videos, .npz, .csv or .parquet data, .txt, one .wav, or a new folder/ of"
        " images or sounds",
    )
    describe_options(parser)
    args = parse(parser, words)
    if args.each is None and (args.data is not None or options):
        args.each = _EACH
    in_folder = args.output.endswith("/")
    suffixes = (".png", ".gif", ".npz", ".csv", ".parquet", ".txt", ".wav")
    output = check_folder(args.output) if in_folder else check_output(args.output, suffixes)
    trained = open_run(args.run, device=args.device)
    trained.spare(output, args.data)
    model = trained.model
    if not isinstance(model, Sampler):
        raise InputError(f"{model.registered_name} cannot be sampled: it is no Sampler (see `ancestral models`)")
    if args.length is not None:
        if not isinstance(model, AnyLength):
            raise InputError(f"{model.registered_name} draws what has the length of its data; leave --length out")
        model = model.of_length(args.length)
        assert isinstance(model, Sampler)
    _check_each(args.each, trained, args.label, args.caption)
    if output.suffix == ".wav" and trained.sample_rate is None:
        raise InputError(f"{model.registered_name} in {args.run} models no sounds; choose .png, .npz or .csv")
    if args.temperature != 1 and not isinstance(model, Autoregressive):
        raise InputError(
            f"--temperature is of autoregressive models, and {model.registered_name} is none; leave it out"
        )
    if output.suffix == ".txt" and not trained.vocabulary:
        raise InputError(f"{model.registered_name} in {args.run} models no text; choose .png, .npz or .csv")
    if output.suffix == ".gif" and kind_of(model.event) != "videos":
        raise InputError(f"{model.registered_name} in {args.run} models no videos; choose .png or .npz")
    n = args.number or (number_shown(model.event) if args.each is None else _ROWS)
    how = class_input(model) if args.label is not None or model.context_event is not None else None
    contexts: Tensor | None
    rows: Split | None = None
    if args.each is not None:
        rows = rows_drawn_at(trained, n, args.data_root, name=args.data, options=options)
        if args.number is not None and len(rows) < n:
            warnings.warn(f"{rows.name} has {counted(len(rows), 'row')}, fewer than the -n {n} asked for", stacklevel=1)
        contexts, given = contexts_of_rows(trained, rows)
        n, contexts, given = (
            args.each * len(rows),
            contexts.repeat_interleave(args.each, 0),
            f", {args.each} each,{given}",
        )
    elif how is not None and how.latent is not None and args.caption is None:
        contexts, given = classes_to_draw(trained, how.classes, args.label)
        given = f"{given}, {'the means' if isinstance(model, MeanDecoder) else 'decoded'} of draws of its latents,"
    else:
        contexts, given = contexts_to_draw_at(trained, n, args.label, args.data_root, caption=args.caption)
    if args.number is None and args.label == "all" and contexts is not None:
        n = 8 * len(contexts)
    as_picture = output.suffix == ".png" and not in_folder
    draws = _Draws(trained, model, n, contexts, args.seed, how, args.temperature, as_picture, rows)
    if in_folder:
        _write_folder(draws, output)
    elif output.suffix == ".png":
        save_figure(_picture(draws), output)
    elif output.suffix == ".wav":
        assert trained.sample_rate is not None
        save_sounds(draws.all("a sound"), model.event, output, trained.sample_rate)
    elif output.suffix == ".gif":
        save_animation(draws.all("an animation"), model.event, output)
    else:
        _write(draws, output)
    sharpened = "" if args.temperature == 1 else f" at the temperature {args.temperature:g}"
    print(f"{counted(n, 'sample')} of {model.registered_name}{given}{sharpened} in {output}")


@dataclass(frozen=True)
class _Draws:
    """Observations that are drawn as they are asked for, always the same ones."""

    run: Run
    model: Sampler
    n: int
    #: Contexts; where the class is a latent, classes.
    contexts: Tensor | None
    seed: int
    #: How the model is told the class that they are of; None where they are of none.
    how: ClassInput | None
    temperature: float
    as_picture: bool
    #: The rows whose contexts they are drawn at, equally many at each in turn; None where each has one of its own.
    rows: Split | None = None

    def parts(self) -> Iterator[Tensor]:
        """The observations in parts; with a progress bar where someone watches."""
        generator = torch.Generator().manual_seed(self.seed)
        support = self.model.event.support
        kinds = support.supports if isinstance(support, Columns) else (support,)
        real = any(isinstance(kind, Real) for kind in kinds)
        for start, stop in self._watched():
            context = in_turn(self.contexts, start, stop)
            if self.how is None or self.how.latent is None or context is None:
                x = self._sampled(stop - start, context, generator).cpu()
            else:
                assert isinstance(self.model, Decoder)
                z = self.how.draw(self.model, context, generator)
                if self.as_picture:  # the means as they are, not yet of the support
                    yield decoded(self.model, z, generator=generator)
                    continue
                x = self.model.decode(z, generator=generator).cpu()
            yield x if real else x.long()

    def _sampled(self, n: int, context: Tensor | None, generator: torch.Generator) -> Tensor:
        if isinstance(self.model, Autoregressive):
            return self.model.sample(n, context=context, generator=generator, temperature=self.temperature)
        return self.model.sample(n, context=context, generator=generator)

    def all(self, what: str) -> Tensor:
        """All observations at once, for what cannot be made in parts."""
        if self.n > _MOST_AT_ONCE:
            raise InputError(
                f"{what} holds at most {_MOST_AT_ONCE:,} samples, got {self.n:,}; take .npz, .csv or .parquet"
            )
        return torch.cat(list(self.parts()))

    def told(self) -> Iterator[Tensor]:
        """The classes, or other contexts, that the observations are drawn at, in the same parts."""
        for start, stop in self._places():
            context = in_turn(self.contexts, start, stop)
            assert context is not None
            yield context.cpu()

    @property
    def of_classes(self) -> bool:
        return self.how is not None and self.contexts is not None

    def tables(self) -> Iterator["pandas.DataFrame"]:
        """The observations as rows of the table that the model learned from, with their classes."""
        import pandas

        schema, names = self.run.schema, self.run.classes
        labels = self.told() if self.of_classes else None
        for x in self.parts():
            if schema is not None:
                frame = schema.decode(x)
            else:
                flat = x.reshape(len(x), -1)
                frame = pandas.DataFrame({f"x{i}": flat[:, i].numpy() for i in range(flat.shape[1])})
            if labels is not None:
                called = (self.run.recipe.get("data") or {}).get("label", "class")
                numbers = next(labels).tolist()
                frame[str(called)] = numbers if names is None else [names[number] for number in numbers]
            yield frame

    def _places(self) -> Iterator[tuple[int, int]]:
        for start in range(0, self.n, _BATCH):
            yield start, min(start + _BATCH, self.n)

    def _watched(self) -> Iterator[tuple[int, int]]:
        screen = Console(stderr=True)
        shown = sys.stderr.isatty() and self.n > _BATCH
        total = -(-self.n // _BATCH)
        return iter(track(self._places(), "sampling", total, console=screen, transient=True, disable=not shown))


def _picture(draws: _Draws) -> Figure:
    """All observations; where they are of several classes, class after class."""
    event, run = draws.model.event, draws.run
    if draws.rows is not None:
        return _beside_real(draws, draws.rows)
    x = in_units(draws.all("a picture"), run.schema)
    columns = {**columns_in_figures(run.schema), "sample_rate": run.sample_rate}
    classes = run.classes or []
    if draws.of_classes and draws.contexts is not None and len(draws.contexts) > 1 and draws.n % len(classes) == 0:
        order = torch.cat(list(draws.told())).argsort(stable=True)
        return class_grid_figure(x[order], event, classes, **columns)
    real = in_units(run.data().test.x, run.schema) if run.schema is not None and run.has_data else None
    return samples_figure(x, event, real=real, **columns)


def _beside_real(draws: _Draws, rows: Split) -> Figure:
    """What is given, what is drawn given it, and what is real, a row for each."""
    context_event, each = draws.model.context_event, draws.n // len(rows)
    assert context_event is not None
    assert draws.contexts is not None
    drawn = draws.all("a picture").unflatten(0, (len(rows), each))
    real = rows.x if rows.event == draws.model.event else None
    return given_figure(draws.contexts[::each], drawn, real, draws.model.event, context_event)


def _write_folder(draws: _Draws, output: Path) -> None:
    """A file for each observation: images as PNG, sounds as WAV, called by their classes and numbers."""
    event, run = draws.model.event, draws.run
    x = draws.all("a folder")
    names = None
    if draws.of_classes and run.classes is not None:
        places = enumerate(torch.cat(list(draws.told())).tolist())
        names = [f"{run.classes[label]}-{i:0{len(str(draws.n - 1))}d}".replace("/", "_") for i, label in places]
    if run.sample_rate is not None:
        save_sounds(x, event, output, run.sample_rate, names)
    else:
        save_images(x, event, output, names)


def _write(draws: _Draws, output: Path) -> None:
    event, run = draws.model.event, draws.run
    check_space(output, draws.n * event.size)
    if output.suffix == ".txt":
        separator = run.recipe["separator"]
        write_lines((text_of(x, run.vocabulary, separator) for part in draws.parts() for x in part), output)
    elif output.suffix == ".npz":
        layout = run.recipe.get("layout")
        arrays: list[_Array] = [("x", draws.n, lambda: (as_stored(x, layout) for x in draws.parts()))]
        if draws.contexts is not None:
            arrays.append(("y" if draws.of_classes else "given", draws.n, draws.told))
        write_arrays(arrays, output)
    else:
        write_table(draws.tables(), output)


def _check_each(each: int | None, run: Run, label: str | None, caption: str | None) -> None:
    """Refuse several draws of each row where nothing of the rows is given."""
    if each is None:
        return
    event = run.model.context_event
    if event is None or takes_class(event):
        what = "unconditional" if event is None else "conditional on a class, which --class says"
        raise InputError(
            f"{run.path} is {what}; DATA and --each are of models that are given images, captions or factors"
        )
    if label is not None or caption is not None:
        raise InputError(f"--each takes what rows are given; leave --{'class' if label else 'caption'} out")
