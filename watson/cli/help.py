"""Makes the help text of a command from its docstring: prose flows to the width, example lines stay as they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer

__all__ = ["add", "help_of", "paragraphs_of"]

_VERBATIM = "\b\n"  # Click's mark of a paragraph that is not to be wrapped


def paragraphs_of(command: Callable[..., Any]) -> list[str]:
    """The paragraphs of a command's docstring, each line as written."""
    return inspect.cleandoc(command.__doc__ or "").split("\n\n")


def help_of(command: Callable[..., Any]) -> str:
    """The docstring as Click wants it: paragraphs that begin with ``Example`` keep their lines.

    Raises:
        ValueError: the command has no docstring, or no example: a mistake of whoever wrote it.
    """
    paragraphs = paragraphs_of(command)
    if not paragraphs[0] or not any(map(is_example, paragraphs)):
        raise ValueError(f"{command.__name__}: a command has a docstring with an example")
    return "\n\n".join(_VERBATIM + text if is_example(text) else " ".join(text.split()) for text in paragraphs)


def is_example(paragraph: str) -> bool:
    """Whether a paragraph shows commands."""
    return paragraph.startswith("Example")


def add(app: typer.Typer, name: str, command: Callable[..., Any]) -> None:
    """Add a command with the help of its docstring."""
    app.command(name, help=help_of(command))(command)
