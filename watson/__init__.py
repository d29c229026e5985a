"""Watson compiles a dataset of categorised segment masks from a large set of unsegmented images."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("watson")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
