"""Data sets: built-in ones by name, and files and folders by path."""

from ancestral.data.audio import save_sounds
from ancestral.data.catalogue import DataInfo
from ancestral.data.dataset import Data, text_of
from ancestral.data.loading import list_data, load_data
from ancestral.data.rows import load_rows
from ancestral.data.split import Split

__all__ = ["Data", "DataInfo", "Split", "list_data", "load_data", "load_rows", "save_sounds", "text_of"]
