"""Pictures of what a model draws while it learns."""

from pathlib import Path

import torch

from ancestral.data import columns_in_figures, in_units
from ancestral.interface import InputError, Model, Sampler, seeded
from ancestral.training.sources import Source


class Preview:
    """Writes `samples-epoch-00010.png`: the same noise, and the contexts of the same rows, each time;
    of a table beside those rows."""

    def __init__(self, model: Model, source: Source, folder: Path, every: int) -> None:
        if not isinstance(model, Sampler):
            raise InputError(f"{type(model).__name__} draws no samples: leave preview_every out")
        self.model, self.folder, self.every = model, folder, every
        from ancestral.plots import number_shown  # here: a run without pictures does not wait for matplotlib

        n = number_shown(model.event)
        rows = torch.arange(min(n, len(source)))
        with seeded(torch.Generator().manual_seed(0)):  # some sources draw their rows
            real = source.batch(rows)
        self.real, self.schema = in_units(real.x, source.schema), source.schema
        self.n = n if model.context_event is None else len(rows)
        self.context = None if model.context_event is None else model.prepare(real).context

    def after_epoch(self, epoch: int) -> None:
        if epoch % self.every:
            return
        from ancestral.plots import samples_figure, save_figure

        generator = torch.Generator().manual_seed(0)
        x = self.model.sample(self.n, context=self.context, generator=generator)
        x, columns = in_units(x, self.schema), columns_in_figures(self.schema)
        figure = samples_figure(x, self.model.event, real=self.real, **columns)
        save_figure(figure, self.folder / f"samples-epoch-{epoch:05d}.png")
