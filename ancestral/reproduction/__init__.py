"""Stated results by their recipes and figures: trained, measured, and written to the ledger with a picture."""

from ancestral.reproduction.figure import list_figures, load_result
from ancestral.reproduction.ledger import LedgerEntry, markdown_table, read_ledger
from ancestral.reproduction.measures import check_recipe, in_words
from ancestral.reproduction.recipes import Recipe, StatedResult, list_recipes, load_recipe
from ancestral.reproduction.run import Interrupted, Outcome, reproduce

__all__ = [
    "Interrupted",
    "LedgerEntry",
    "Outcome",
    "Recipe",
    "StatedResult",
    "check_recipe",
    "in_words",
    "list_figures",
    "list_recipes",
    "load_recipe",
    "load_result",
    "markdown_table",
    "read_ledger",
    "reproduce",
]
