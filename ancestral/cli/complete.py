"""`ancestral complete`: what is missing of rows, or hidden of images, sequences and clips, filled in."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ancestral.cli.contexts import classes_to_draw, contexts_to_draw_at, in_turn, names_of_classes
from ancestral.cli.output import Column, write_npz
from ancestral.cli.parsing import UsageError, parse, teach, whole_number
from ancestral.cli.runs import Run, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.cli.writing import write_lines, write_table
from ancestral.data import data_options, kept_by_picture, kept_by_words, save_sounds, text_of
from ancestral.data.arrays import as_stored
from ancestral.data.tables import TABLES, read_table
from ancestral.dequantization import DequantizedDensity
from ancestral.evaluation import filled_in, filling_in_words, takes_class
from ancestral.evaluation.imputation import DRAWS
from ancestral.interface import Columns, Completer, Event, InputError, repeated
from ancestral.output import check_output, counted
from ancestral.plots import completions_figure, kind_of, save_animation, save_figure

#: Of what a part is hidden: rows, and completions of each.
_ROWS, _COMPLETIONS = 8, 6

_TEACHES = """Takes a table with empty cells, or an array with NaN, and fills them in by the run's model given what is
there; a cell that is there stays as it was. With --keep or --mask it takes whole images, sequences or clips (a file,
several, or any data), hides all but the part that is kept, and draws several completions of each. The line that is
printed says how: exactly, in the model's order without a look ahead, by resampling, or by a Markov chain."""
_KEEP = """the part that is kept: top, bottom, left or right of images and of the frames of clips; first or last of
sequences (in time) and of clips (frames); centre, or outside for a hole in the middle. Half of it, or a share or a
number of rows, columns, steps or frames, as top:0.25 or first:4. every:4 keeps every fourth row and column of images:
a quarter of the resolution. The data may be the kept part alone: images of that resolution, clips of four frames"""


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    args = _parsed(parser, words)
    hides = args.keep is not None or args.mask is not None
    trained = open_run(args.run, device=args.device)
    model = _completer(trained)
    usual = "completed.png" if hides else "completed.npz" if trained.schema is None else "completed.csv"
    output = check_output(args.output or usual, tuple(_WRITERS))
    _check_output(trained, output, args, hides)
    kept, said = _kept(trained, args)
    labels = None if args.label is None else contexts_to_draw_at(trained, 1, args.label, args.data_root)[0]
    each = 1 if labels is None else len(labels)
    alike = "prediction" if model.predicts else "mean" if args.fill == "mean" else None
    count = args.completions or (_COMPLETIONS if hides and alike is None and each == 1 else each)
    if alike is not None and count > each:
        raise InputError(f"there is one {alike} of each row, not {count}; leave --completions out")
    x, context = _rows(trained, args, options, kept)
    known = ~x.isnan() if kept is None else ~x.isnan() & kept
    if bool(known.all()):
        raise InputError(
            f"{' and '.join(args.data)} has no empty cell (NaN): there is nothing to fill in; to hide a part of whole"
            " images, sequences or clips, say by --keep which one stays"
        )
    draws = args.draws or (1 if args.fill == "draw" and (hides or args.temperature != 1) else DRAWS)
    told = in_turn(labels, 0, count)
    filled = filled_in(
        model,
        repeated(x.masked_fill(~known, torch.nan), count).to(model.device),
        how=args.fill,
        draws=draws,
        context=repeated(context, count) if told is None else told.repeat_interleave(len(x), 0),
        temperature=args.temperature,
        generator=torch.Generator().manual_seed(args.seed),
    )
    how = filling_in_words(model, args.fill, draws, known, args.temperature)
    names = [alike] if alike is not None else [str(i + 1) for i in range(count)]
    if told is not None:
        called = names_of_classes(trained, int(told.max()) + 1)
        names = [called[label] for label in told.tolist()] if each > 1 else names
        said = f" as {'each class in turn' if each > 1 else f'class {called[int(told[0])]}'}{said}"
    completed = _Completed(
        trained,
        x,
        known,
        filled.cpu().unflatten(0, (count, -1)).transpose(0, 1),
        None if told is None else told.cpu(),
        names,
        f"{model.registered_name}{said}: {'each ' if count > 1 else ''}{how}",
        args.data,
        options,
        hides,
    )
    _WRITERS[output.suffix](completed, output)
    if hides:
        noun = {3: "image", 4: "clip"}.get(len(model.event.shape), "sequence")
        of = f"{counted(count, 'completion')} of {'each of ' if len(x) > 1 else ''}{counted(len(x), noun)}"
        print(f"{of}{said} in {output}: {'each ' if count > 1 else ''}{how}")
    else:
        holes = ~known
        cells = f"{counted(int(holes.sum()), 'empty cell')} in {counted(int(holes.flatten(1).any(1).sum()), 'row')}"
        print(f"{cells} filled in, in {output}: {how}")


def _parsed(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """The command line, as far as it can be judged without the run."""
    teach(parser, _TEACHES)
    add_run_flags(parser, several=True)
    parser.add_argument("--keep", metavar="PART", help=" ".join(_KEEP.split()))
    parser.add_argument("--mask", help="a picture of the size of the images: white is kept, black is filled in")
    parser.add_argument(
        "-n", "--number", type=whole_number, help=f"the first so many rows ({_ROWS} with --keep or --mask)"
    )
    parser.add_argument(
        "--completions",
        type=whole_number,
        help=f"of each row ({_COMPLETIONS} with --keep or --mask; with --class all one of each class; otherwise 1)",
    )
    parser.add_argument(
        "--class",
        dest="label",
        metavar="CLASS",
        help="the class that a model of labels is told, by name or number, or all in turn (default: the rows' own)",
    )
    parser.add_argument(
        "--fill",
        choices=("draw", "mean"),
        default="draw",
        help="one draw of what is missing, as varied as real rows, or its mean (of categories the likeliest)",
    )
    parser.add_argument(
        "--draws",
        type=whole_number,
        help="completions of a row that its mean is of, or of which an autoregressive model that does not look ahead"
        f" chooses one ({DRAWS}; 1 for draws with --keep or --mask)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="of an autoregressive model: below 1 its draws are likelier, and less varied",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn: the same seed fills in alike")
    parser.add_argument(
        "-o",
        "--output",
        help=".png, a picture of images, sequences or clips (default with --keep or --mask: completed.png); with these"
        " also .gif, each clip moving beside its completions, or .wav, each sound and then its completions; .csv or"
        " .parquet of a table (default: completed.csv), .txt of text, .npz of any data (default: completed.npz)",
    )
    args = parse(parser, words)
    if args.keep is not None and args.mask is not None:
        raise UsageError("--keep and --mask both say what stays; give one of them")
    if not args.data and args.keep is None and args.mask is None:
        raise UsageError(
            "name the rows to fill in after the run, a table with empty cells or an array with NaN; or say by --keep"
            " which part of whole images, sequences or clips stays"
        )
    return args


def _completer(run: Run) -> Completer:
    model = run.model
    if isinstance(model, Completer):
        return model
    if isinstance(model, DequantizedDensity) and isinstance(model.inner, Completer):
        raise InputError(
            f"{model.registered_name} in {run.path} is of integers, which it sees with noise, and fills in real numbers"
            " alone; fit it with `--support real`"
        )
    raise InputError(
        f"{model.registered_name} cannot fill anything in; `ancestral models` lists the Completers, which can"
    )


def _check_output(run: Run, output: Path, args: Namespace, hides: bool) -> None:
    """Refuse a file that could not be written in the end, or that is read."""
    for name in (*args.data, args.mask):
        run.spare(output, name)
    table = run.schema is not None or isinstance(run.model.event.support, Columns)
    if output.suffix in (".csv", ".parquet") and not (
        run.schema is not None and len(args.data) == 1 and Path(args.data[0]).suffix.lower() in TABLES
    ):
        what = " and ".join(args.data) or "what the run was trained on"
        raise InputError(f"{what} is no table with the columns of {run.path}; choose .npz{'' if table else ' or .png'}")
    if output.suffix == ".png" and table:
        raise InputError("completions of a table have no picture; choose .csv, .parquet or .npz")
    if output.suffix == ".txt" and not run.vocabulary:
        raise InputError(f"{run.model.registered_name} in {run.path} models no text; choose .png or .npz")
    for suffix, what, modelled in (
        (".gif", "clips", kind_of(run.model.event) == "videos"),
        (".wav", "sounds", run.sample_rate is not None),
    ):
        if output.suffix == suffix and not modelled:
            raise InputError(f"{run.model.registered_name} in {run.path} models no {what}; choose .png or .npz")
        if output.suffix == suffix and not hides:
            raise InputError(f"{suffix} is of {what} and their completions, with --keep or --mask; choose .npz")


def _kept(run: Run, args: Namespace) -> tuple[Tensor | None, str]:
    """Where values are kept, (*event.shape), by --keep or --mask, and what to say of it."""
    event = run.model.event
    if args.keep is None and args.mask is None:
        return None, ""
    if run.schema is not None:
        raise InputError(f"{run.path} is of a table: leave the cells empty that are to be filled in, without --keep")
    if args.keep is not None:
        kept, name = kept_by_words(args.keep, event), args.keep
    else:
        kept, name = kept_by_picture(Path(args.mask), event), f"the white of {args.mask}"
    return kept, f" with {name} kept ({int(kept.sum())} of {event.size} values)"


def _rows(run: Run, args: Namespace, options: Mapping[str, Any], kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The rows that are named, in floats, a few where a part is `kept` and -n says no number, and their contexts.

    Of a model of labels these are the labels; None where --class says what they are.
    """
    by_class = takes_class(run.model.context_event)
    count = args.number or (None if kept is None else max(_ROWS, len(args.data)))
    alone = None if kept is None else _alone(kept, run.model.event)
    parts = []
    for name in args.data or [None]:
        source = {"name": name, "data_root": args.data_root} if name else run.recipe.get("data") or {}
        # An array or a table may have holes; images have none.
        may_miss = "name" in source and "missing" in data_options(source["name"], source.get("data_root"))
        given = {**options, "missing": True} if may_miss else options
        split = run.rows(name, args.split, args.data_root, given, conditioned=not by_class, also=alone)
        parts.append(split.__getitems__(range(min(len(split), count or len(split)))))
    x = torch.cat([_spread(part.x, run.model.event, kept) for part in parts])[:count]
    if args.label is not None:
        return x, None
    contexts = [part.y if by_class else part.context for part in parts]
    if run.model.context_event is None:
        return x, None
    if any(context is None for context in contexts):
        classes_to_draw(run, run.model.context_event.values or 0, None)
    context = torch.cat([context for context in contexts if context is not None])[:count]
    if by_class and bool((context < 0).any()):
        raise InputError("some rows have no label, and the model is told one; say with --class which")
    return x, context.to(run.model.device)


def _alone(kept: Tensor, event: Event) -> Event | None:
    """What is kept as an observation of its own: an image of less resolution, the first frames of a clip. None where it
    has no shape, as what lies outside a hole."""
    shape = tuple(int(kept.movedim(axis, 0).reshape(n, -1).any(1).sum()) for axis, n in enumerate(kept.shape))
    if isinstance(event.support, Columns) or prod(shape) != int(kept.sum()):
        return None
    return Event(shape, event.support)


def _spread(x: Tensor, event: Event, kept: Tensor | None) -> Tensor:
    """Rows in floats, and what is kept alone as a row of the model's shape with NaN elsewhere."""
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    if kept is None or x.shape[1:] == event.shape:
        return x
    whole = x.new_full((len(x), *event.shape), torch.nan)
    whole[:, kept] = x.flatten(1)
    return whole


# -- What is written --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Completed:
    """Rows, (n, *event.shape), where they are known, and their completions, (n, completions, *event.shape)."""

    run: Run
    x: Tensor
    known: Tensor
    filled: Tensor
    #: The class that each completion is told, where --class says it.
    labels: Tensor | None
    #: What the completions are called.
    names: Sequence[str]
    title: str
    #: What the command line named, and its `--data.NAME`.
    data: Sequence[str]
    options: Mapping[str, Any]
    #: Whether the rows were whole, and a part of them was hidden.
    hides: bool


def _write_picture(done: _Completed, output: Path) -> None:
    event = done.run.model.event
    figure = completions_figure(done.x, done.known, done.filled, event, names=done.names, title=done.title)
    save_figure(figure, output)


def _beside_originals(done: _Completed) -> Tensor:
    """Each row, where all of it is known, and then its completions, (n, up to 1 + completions, *event.shape)."""
    whole = [] if bool(done.x.isnan().any()) else [done.x[:, None]]
    return torch.cat([*whole, done.filled.to(done.x)], 1)


def _write_animation(done: _Completed, output: Path) -> None:
    beside = _beside_originals(done)
    save_animation(beside.flatten(0, 1), done.run.model.event, output, columns=beside.shape[1])


def _write_sounds(done: _Completed, output: Path) -> None:
    assert done.run.sample_rate is not None
    save_sounds(_beside_originals(done).flatten(0, 1), done.run.model.event, output, done.run.sample_rate)


def _write_arrays(done: _Completed, output: Path) -> None:
    """`x` has the completions of a row side by side; one alone of a row with holes is the row."""
    if not done.hides and done.filled.shape[1] == 1:
        write_npz({"x": done.filled[:, 0]}, output)
        return
    layout, discrete = done.run.recipe.get("layout"), done.run.model.event.values is not None

    def stored(x: Tensor) -> Tensor:
        whole = x.long() if discrete and not bool(x.isnan().any()) else x
        return as_stored(whole, layout)

    filled = stored(done.filled.flatten(0, 1)).unflatten(0, done.filled.shape[:2])
    arrays: dict[str, Column] = {"x": filled, "original": stored(done.x), "observed": as_stored(done.known, layout)}
    write_npz(arrays if done.labels is None else {**arrays, "y": done.labels}, output)


def _write_text(done: _Completed, output: Path) -> None:
    """A line for each completion, those of a row one below the other."""
    run = done.run
    separator = run.recipe["separator"]
    write_lines((text_of(x, run.vocabulary, separator) for x in done.filled.flatten(0, 1).long()), output)


def _write_rows(done: _Completed, output: Path) -> None:
    """The table as it was read, with its empty cells filled in."""
    if done.filled.shape[1] > 1:
        raise InputError(f"a table holds one completion of each row, not {done.filled.shape[1]}; choose .npz")
    schema = done.run.schema
    assert schema is not None
    how = {key: done.options[key] for key in ("separator", "decimal") if key in done.options}
    frame = read_table(Path(done.data[0]), **how).head(len(done.x))
    decoded = schema.decode(done.filled[:, 0])
    for name in decoded.columns.intersection(frame.columns[frame.isna().any()]):
        # What is there stays as it was.
        frame[name] = frame[name].where(frame[name].notna(), decoded[name]).astype(decoded[name].dtype)
    write_table([frame], output)


#: How completions are written, by the ending of the file.
_WRITERS: Mapping[str, Callable[[_Completed, Path], None]] = {
    ".png": _write_picture,
    ".gif": _write_animation,
    ".wav": _write_sounds,
    ".npz": _write_arrays,
    ".csv": _write_rows,
    ".parquet": _write_rows,
    ".txt": _write_text,
}
