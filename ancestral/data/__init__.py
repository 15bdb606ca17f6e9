"""Data sets: built-in ones by name, and files and folders by path."""

from ancestral.data.audio import save_sounds
from ancestral.data.catalogue import DataInfo
from ancestral.data.dataset import Data, text_of
from ancestral.data.loading import data_options, find_data, list_data, load_data
from ancestral.data.masks import kept_by_picture, kept_by_words
from ancestral.data.schema import Column, Schema, columns_in_figures, in_units
from ancestral.data.split import Split
from ancestral.data.texts import decoded_text

__all__ = [
    "Column",
    "Data",
    "DataInfo",
    "Schema",
    "Split",
    "columns_in_figures",
    "data_options",
    "decoded_text",
    "find_data",
    "in_units",
    "kept_by_picture",
    "kept_by_words",
    "list_data",
    "load_data",
    "save_sounds",
    "text_of",
]
