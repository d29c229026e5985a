"""The command line: parse, call, print."""

from watson.cli.app import main

__all__ = ["main"]
