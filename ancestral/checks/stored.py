"""What persistence promises: a model that is saved and loaded gives the same numbers."""

import tempfile
from pathlib import Path

from ancestral.checks.report import Property, require
from ancestral.checks.subject import Subject, all_outputs, same
from ancestral.interface import Decoder
from ancestral.persistence import load, save


def loading_gives_the_same_numbers(subject: Subject) -> None:
    model, n = subject.model, subject.rows(8)
    x, context = subject.observations(n), subject.contexts(n)
    z = subject.latents(model, n) if isinstance(model, Decoder) else None
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(save(model, Path(folder) / "model"), device=str(model.device))
    first = all_outputs(model, x, context, subject.seed, z)
    for name, value in all_outputs(loaded, x, context, subject.seed, z).items():
        require(
            same(first[name], value),
            f"{name} gives other numbers after save and load: some state is neither a parameter nor a buffer, or a"
            " setting is not passed on",
        )


def _registered(subject: Subject) -> str | None:
    if subject.original.registered_name is None or subject.original.settings is None:
        return "it is made by hand: only registered models are saved"
    return None


PROPERTIES = (Property("save and load give the same numbers", _registered, loading_gives_the_same_numbers),)
