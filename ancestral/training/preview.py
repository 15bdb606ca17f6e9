"""Pictures of what a model draws, or translates, while it learns."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from matplotlib.figure import Figure

from ancestral.data import columns_in_figures, in_units
from ancestral.interface import InputError, Model, Sampler, Translator, seeded
from ancestral.training.sources import Source

#: Of each domain, in a picture of translations.
_OF_A_DOMAIN = 16


class Preview(ABC):
    """Writes a picture every so many epochs: `NAME-epoch-00010.png`, of the same rows or the same noise each time."""

    name: str

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def after_epoch(self, epoch: int) -> None:
        if epoch % self.every == 0:
            from ancestral.plots import save_figure  # here: a run without pictures does not wait for matplotlib

            save_figure(self._picture(), self.folder / f"{self.name}-epoch-{epoch:05d}.png")

    @abstractmethod
    def _picture(self) -> Figure: ...


def preview_of(model: Model, source: Source, folder: Path, every: int) -> Preview:
    """What shows the model: samples, or translations."""
    if isinstance(model, Sampler):
        return _Samples(model, source, folder, every)
    if isinstance(model, Translator):
        return _Translations(model, source, folder, every)
    raise InputError(f"{model.display_name} draws no samples: leave preview_every out")


class _Samples(Preview):
    """Of the same noise, and the contexts of the same rows, each time; of a table beside those rows."""

    name = "samples"

    def __init__(self, model: Sampler, source: Source, folder: Path, every: int) -> None:
        super().__init__(folder, every)
        from ancestral.plots import number_shown

        self.model = model
        n = number_shown(model.event)
        rows = torch.arange(min(n, len(source)))
        with seeded(torch.Generator().manual_seed(0)):  # some sources draw their rows
            real = source.batch(rows)
        self.real, self.schema = in_units(real.x, source.schema), source.schema
        self.n = n if model.context_event is None else len(rows)
        self.context = None if model.context_event is None else model.prepare(real).context

    def _picture(self) -> Figure:
        from ancestral.plots import samples_figure

        generator = torch.Generator().manual_seed(0)
        x = self.model.sample(self.n, context=self.context, generator=generator)
        x, columns = in_units(x, self.schema), columns_in_figures(self.schema)
        return samples_figure(x, self.model.event, real=self.real, **columns)


class _Translations(Preview):
    """Of the same rows of both domains each time, and back."""

    name = "translations"

    def __init__(self, model: Translator, source: Source, folder: Path, every: int) -> None:
        super().__init__(folder, every)
        labels = source.labels
        if labels is None:
            raise InputError(f"the rows of {' and '.join(model.domains)} must be labelled 0 and 1 to be translated")
        self.model = model
        with seeded(torch.Generator().manual_seed(0)):
            rows = [(labels == side).nonzero()[:_OF_A_DOMAIN, 0] for side in (0, 1)]
            self.rows = [source.batch(some).x for some in rows]

    @torch.no_grad()
    def _picture(self) -> Figure:
        from ancestral.plots import panels_figure, translations_figure

        model, panels = self.model, {}
        for x, source, target in zip(self.rows, model.domains, reversed(model.domains), strict=True):
            there = model.translate(x.to(model.device), to=target)
            back = model.translate(there, to=source)
            panels[f"{source} to {target}, and back"] = translations_figure(
                x, there, back, model.event, (source, target)
            )
        return panels_figure(panels)
