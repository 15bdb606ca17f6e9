"""Figures: a function each, returning a matplotlib `Figure` that belongs to no window."""

from ancestral.plots.completions import completions_figure
from ancestral.plots.curves import em_trace, learning_curves
from ancestral.plots.figures import figure_png, page_pngs, save_figure
from ancestral.plots.given import given_figure, is_image_of
from ancestral.plots.latents import manifold_figure, place_name, reconstruction_figure, walks_figure
from ancestral.plots.panels import panels_figure
from ancestral.plots.samples import class_grid_figure, kind_of, number_shown, predictions_figure, samples_figure
from ancestral.plots.saving import save_animation, save_images
from ancestral.plots.sections import sections_figure
from ancestral.plots.sequences import text_figure
from ancestral.plots.tables import table_figure
from ancestral.plots.transfer import transfer_figure
from ancestral.plots.translations import translations_figure

__all__ = [
    "class_grid_figure",
    "completions_figure",
    "em_trace",
    "figure_png",
    "given_figure",
    "is_image_of",
    "kind_of",
    "learning_curves",
    "manifold_figure",
    "number_shown",
    "page_pngs",
    "panels_figure",
    "place_name",
    "predictions_figure",
    "reconstruction_figure",
    "samples_figure",
    "save_animation",
    "save_figure",
    "save_images",
    "sections_figure",
    "table_figure",
    "text_figure",
    "transfer_figure",
    "translations_figure",
    "walks_figure",
]
