"""Sources: where unsegmented pictures are listed and read."""

from watson.sources.connect_source import open_source
from watson.sources.listing import Batch, Entry, Lister
from watson.sources.reader import Reader

__all__ = ["Batch", "Entry", "Lister", "Reader", "open_source"]
