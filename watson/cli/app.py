"""The command ``watson``: its sub-commands, and what becomes of errors. docs/operations.md lists the exit codes."""

from __future__ import annotations

import errno
import sys

import typer
from rich.console import Console

from watson import __version__
from watson.cli import (
    audit,
    compare,
    datasets,
    dead_letters,
    jobs,
    models,
    operate,
    resubmit,
    run,
    snapshots,
    submit,
    suggest,
    train,
)
from watson.errors import Refused, Retriable, UserError, WatsonError
from watson.logs import printable

__all__ = ["app", "main"]

EXIT_WRONG = 1
EXIT_USER = 2
EXIT_UNAVAILABLE = 69  # Source: sysexits.h, EX_UNAVAILABLE
EXIT_FILES = 74  # Source: sysexits.h, EX_IOERR
EXIT_INTERRUPTED = 130

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of writing into an open file: they come without its name."""

app = typer.Typer(
    name="watson",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: it keeps example lines whole, and can be copied
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Compile a dataset of categorised segment masks from a large set of unsegmented images.\n\n"
    "\b\n"
    "On this machine alone:\n"
    "  watson run PHOTOS --out DATASET\n\n"
    "\b\n"
    "On a cluster:\n"
    "  watson submit s3://bucket/prefix --dataset NAME\n"
    "  watson status JOB\n\n"
    "Settings are environment variables, WATSON_…: see docs/settings.md.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


_COMMANDS = (
    *(run, submit, resubmit, jobs, models, datasets, snapshots, compare, suggest, train),
    *(dead_letters, audit, operate),
)
for _commands in _COMMANDS:
    _commands.register(app)


def _check_text(arguments: list[str]) -> None:
    """Neither an event nor a row can hold what is not text; refused here, no command meets it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(f"the argument {argument!r} is not text in UTF-8") from None


def _say(message: object) -> None:
    console = Console(stderr=True, emoji=False)
    console.print(
        printable(f"watson: {message}", kept="\n"), style="red", markup=False, highlight=False, soft_wrap=True
    )


def _exit_code(exc: WatsonError) -> int:
    if isinstance(exc, Retriable):
        default = EXIT_UNAVAILABLE
    else:
        default = EXIT_USER if isinstance(exc, UserError | Refused) else EXIT_WRONG
    return int(getattr(exc, "exit_code", default))


def main() -> None:
    """Run the command; what the user can act on is one line on standard error, never a traceback."""
    try:
        _check_text(sys.argv)
        app()
    except WatsonError as exc:
        _say(exc)
        sys.exit(_exit_code(exc))
    except OSError as exc:
        if exc.filename is None and exc.errno not in _FULL:  # nothing that the user could put right
            raise
        _say(exc.strerror if exc.filename is None else f"{exc.filename}: {exc.strerror}")
        sys.exit(EXIT_FILES)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
