"""Stated results by their recipes: trained, measured, and written to the ledger with a picture."""

from ancestral.reproduction.ledger import LedgerEntry, markdown_table, read_ledger
from ancestral.reproduction.measures import check_recipe, in_words
from ancestral.reproduction.recipes import Recipe, list_recipes, load_recipe
from ancestral.reproduction.run import Interrupted, Outcome, reproduce

__all__ = [
    "Interrupted",
    "LedgerEntry",
    "Outcome",
    "Recipe",
    "check_recipe",
    "in_words",
    "list_recipes",
    "load_recipe",
    "markdown_table",
    "read_ledger",
    "reproduce",
]
