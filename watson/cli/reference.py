"""Writes docs/cli.md from the commands themselves: ``python -m watson.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from watson.cli.app import app

__all__ = ["cli_reference", "commands"]

_HEAD = """# The command line

Made from the code by `python -m watson.cli.reference > docs/cli.md`; `watson COMMAND --help` says the same. Exit codes
are in [operations.md](operations.md#exit-codes), settings in [settings.md](settings.md).

Results go to standard output, everything else to standard error. Tables are for terminals: into a file or a pipe goes
one line a row, with tabs between the cells. `--json` prints one JSON document.
"""
_VERBATIM = "\b\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Each command that does something: its words after ``watson``, and Click's object."""
    yield from _under((), typer.main.get_command(app))


def _under(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(words), command
        return
    for name, child in children.items():
        yield from _under((*words, name), child)


def cli_reference() -> str:
    """The page, in Markdown."""
    parts = [_HEAD]
    for words, command in commands():
        parts.append(f"## watson {words}\n")
        parts += [_paragraph(text) for text in command.help.split("\n\n")]
        if command.params:
            parts.append(
                "| argument or option | default | meaning |\n|---|---|---|" + "".join(map(_row, command.params))
            )
            parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _paragraph(text: str) -> str:
    if not text.startswith(_VERBATIM):
        return f"{text}\n"
    _, *lines = text.removeprefix(_VERBATIM).splitlines()  # without the word Example
    return "\n".join(["```console", *_prompted(lines), "```", ""])


def _prompted(lines: list[str]) -> Iterator[str]:
    continued = False
    for line in lines:
        text = line.removeprefix("  ")
        yield text if continued else f"$ {text}"
        continued = text.endswith("\\")


def _row(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.param_type_name == "argument":
        names = f"`{param.metavar}`"
    elif param.metavar and not param.is_flag:
        names += f" {param.metavar}"
    default = "required" if param.required else _default(param)
    return f"\n| {names} | {default} | {(param.help or '').replace('|', chr(92) + '|')} |"


def _default(param: Any) -> str:
    if param.default is None or param.default is False or param.default is True:
        return f"`{param.opts[0]}`" if param.secondary_opts and param.default else ""
    return f"`{param.default}`"


if __name__ == "__main__":
    print(cli_reference(), end="")  # noqa: T201 - the command's output
