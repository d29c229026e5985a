"""The pages about the command line say what there is, and nothing names a command or an option that there is not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from watson.cli.app import app
from watson.cli.reference import cli_reference, commands

ROOT = Path(__file__).parents[2]
COMMANDS = dict(commands())
WATSON = typer.main.get_command(app)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
QUOTED = re.compile(r"`(watson [^`]+)`")


def test_the_page_is_up_to_date():
    assert (ROOT / "docs/cli.md").read_text() == cli_reference(), "run: python -m watson.cli.reference > docs/cli.md"


def test_every_command_is_on_the_page_once_with_each_of_its_options():
    parts = dict(part.split("\n", 1) for part in cli_reference().split("\n## watson ")[1:])
    assert list(parts) == list(COMMANDS)
    for words, command in COMMANDS.items():
        for param in command.params:
            rows = [line for line in parts[words].splitlines() if line.startswith("| `")]
            names = [f"`{name}`" for name in (*param.opts, *param.secondary_opts)]
            named = names if param.param_type_name == "option" else [f"`{param.metavar}`"]
            assert sum(all(name in row for name in named) for row in rows) == 1, (words, named)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_of_every_command_shows_an_example_and_explains_each_option(watson, words):
    done = watson(*words.split(), "--help")
    assert (done.code, done.err) == (0, "")
    _, _, example = done.out.partition("Example")
    assert f"watson {words}" in example.partition("Options:")[0]
    assert [param.name for param in COMMANDS[words].params if not param.help] == []


def commands_in(text: str) -> Iterator[str]:
    """Calls of watson in a text: in console blocks, examples of docstrings, and between backquotes."""
    for block in CONSOLE.findall(text):
        joined = block.replace("\\\n", " ")
        for line in joined.splitlines():
            call = re.sub(r"^\$ ", "", line).partition("#")[0].strip()
            if re.match(r"([A-Z_0-9]+=\S+ +)*watson ", call):
                yield call
    yield from QUOTED.findall(text)


def examples() -> Iterator[str]:
    for command in COMMANDS.values():
        (example,) = (text for text in command.help.split("\n\n") if "\bExample" in text.replace("\n", ""))
        lines = example.replace("\\\n", " ").splitlines()
        yield from (line.strip() for line in lines if "watson " in line)


def mentions() -> list[tuple[str, str]]:
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    files += sorted((ROOT / "watson").rglob("*.py")) + sorted((ROOT / "watson").rglob("*.j2"))
    found = [(file.relative_to(ROOT).as_posix(), call) for file in files for call in commands_in(file.read_text())]
    return found + [("an example", call) for call in examples()]


def problem(call: str) -> str | None:
    """What Click has against a call; arguments that are left out, as prose does, are no problem."""
    words = shlex.split(re.sub(r"\{[a-z_.]+\}", "x", call))  # of an f-string
    words = words[next(place for place, word in enumerate(words) if word == "watson") + 1 :]
    command = WATSON
    if not words or words[0] in ("COMMAND", "--help", "--version"):
        return None
    while hasattr(command, "commands"):
        if not words:
            return None
        if words[0] not in command.commands:
            return f"there is no {words[0]}"
        command = command.commands[words.pop(0)]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    return f"there are no {options - known}" if options - known else None


def test_every_command_and_option_that_any_page_or_message_names_exists():
    found = mentions()
    assert len(found) > 60  # else this looks in the wrong places
    assert [(place, call, what) for place, call in found if (what := problem(call))] == []


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("WATSON_PARTITIONS=3 watson topics create", None),
        ("watson jobs", None),
        ("watson metals add", "there is no metals"),
        ("watson jobs stop", "there is no stop"),
        ("watson audit {job} --mend", "there are no {'--mend'}"),
    ],
)
def test_a_command_that_there_is_not_would_be_found(call, wrong):
    assert problem(call) == wrong
