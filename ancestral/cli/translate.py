"""`ancestral translate`: images of one domain as images of the other."""

import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ancestral.cli.output import Column, write_npz
from ancestral.cli.parsing import UsageError, parse, teach, whole_number
from ancestral.cli.runs import Run, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.data import Split
from ancestral.data.arrays import as_stored
from ancestral.evaluation import Translations, other_domain, translated
from ancestral.interface import InputError, Translator
from ancestral.output import check_folder, check_output, counted
from ancestral.plots import save_figure, save_images, translations_figure

#: In a picture, where nobody says how many.
_SHOWN = 32

_TEACHES = """Takes images of one of the two domains that the run learned from (files, folders, zips or any data), and
writes what they are in the domain that --to names. Of data that have both domains, as what the run was trained on, the
rows of the other one are taken. A .png shows each image, its translation, and that translated back: where the last is
not the first, something was lost. A new folder/ gets one file for each image, under its name."""


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    teach(parser, _TEACHES)
    add_run_flags(parser, several=True)
    parser.add_argument("--to", metavar="DOMAIN", help="the domain to translate to, by its name")
    parser.add_argument("-n", "--number", type=whole_number, help=f"the first so many images (in a picture: {_SHOWN})")
    parser.add_argument(
        "-o",
        "--output",
        default="translations.png",
        help="a .png picture of images, translations and back; .npz (x, original and back); or a new folder/ of images",
    )
    args = parse(parser, words)
    in_folder = args.output.endswith("/")
    output = check_folder(args.output) if in_folder else check_output(args.output, (".png", ".npz"))
    trained = open_run(args.run, device=args.device)
    model = _translator(trained, args.to)
    for name in args.data:
        trained.spare(output, name)
    x, files = _images(trained, model, args, options, None if in_folder or output.suffix == ".npz" else _SHOWN)
    found = translated(model, x, args.to)
    if in_folder:
        save_images(found.there, model.event, output, _names(files))
    elif output.suffix == ".npz":
        _write_arrays(trained, found, output)
    else:
        domains = (found.source, found.target)
        save_figure(translations_figure(found.x, found.there, found.back, model.event, domains), output)
    off = (found.back.double() - found.x.double()).abs().mean()
    levels = model.event.values
    unit = "" if levels is None else f" of {levels - 1} levels"
    print(
        f"{counted(len(x), 'image')} of {found.source} as {found.target} in {args.output}; translated back they are off"
        f" by {off:.3g}{unit} on average"
    )


def _translator(run: Run, to: str | None) -> Translator:
    model = run.model
    if not isinstance(model, Translator):
        raise InputError(f"{model.registered_name} does not translate: it is no Translator (see `ancestral models`)")
    if to not in model.domains:
        given = "" if to is None else f", got {to}"
        raise UsageError(f"--to must be one of the domains of {run.path}, {' or '.join(model.domains)}{given}")
    return model


def _images(
    run: Run, model: Translator, args: Namespace, options: Mapping[str, Any], usual: int | None
) -> tuple[Tensor, list[str] | None]:
    """The images of the other domain in what is named, at most `usual` if -n does not say how many, and their files
    where all have one."""
    parts: list[Tensor] = []
    files: list[str] = []
    for name in args.data or [None]:
        data = run.named(name, args.split, args.data_root, options)
        split = data.splits[args.split or "test"]
        source = other_domain(model, args.to)
        kept = _of_domain(split, data.domains or data.classes, source, model.domains)
        folder = Path() if name is None else Path(name) if Path(name).is_dir() else Path(name).parent
        if kept is split and args.to in (folder.name, Path(name or "").stem):
            warnings.warn(
                f"{name} bears the name of the domain to translate to; its images are taken for {source}",
                stacklevel=1,
            )
        parts.append(kept.x)
        files += [str(folder / file) for file in kept.origin.get("file", np.array([], dtype=object)).tolist()]
    x = torch.cat(parts)
    limit = args.number or usual or len(x)
    return x[:limit], files[:limit] if len(files) == len(x) else None


def _of_domain(split: Split, names: Sequence[str] | None, source: str, domains: tuple[str, str]) -> Split:
    """The rows of `source`, of data whose labels name the two domains; all rows of other data."""
    if names is None or split.y is None or not set(domains) <= set(names):
        return split
    rows = (split.y == list(names).index(source)).nonzero()[:, 0]
    if len(rows) == 0:
        raise InputError(f"{split.name} has no image of {source}, which would be translated")
    return split.take(rows)


def _names(files: list[str] | None) -> list[str] | None:
    """What the translations are called: as their files, with as many of the folders as tell all apart."""
    if files is None:
        return None
    paths = [Path(file).with_suffix("").parts for file in files]
    for depth in range(1, max(map(len, paths), default=0) + 1):
        names = ["-".join(parts[-depth:]).replace("/", "") for parts in paths]
        if len(set(names)) == len(names):
            return names
    return None


def _write_arrays(run: Run, found: Translations, output: Path) -> None:
    layout, discrete = run.recipe.get("layout"), run.model.event.values is not None
    parts = {"x": found.there, "original": found.x, "back": found.back}
    arrays: dict[str, Column] = {name: as_stored(x.long() if discrete else x, layout) for name, x in parts.items()}
    write_npz(arrays, output)
