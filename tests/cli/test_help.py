from __future__ import annotations

import pytest

from watson.cli.help import help_of


def documented(text: str | None):
    def command() -> None: ...

    command.__doc__ = text
    return command


@pytest.mark.parametrize("text", [None, "", "Do it.", "Do it.\n\nFor example like this."])
def test_a_command_without_a_docstring_with_an_example_is_refused(text):
    with pytest.raises(ValueError, match="command: a command has a docstring with an example"):
        help_of(documented(text))


def test_prose_flows_and_example_lines_stay_as_they_are():
    text = """Do it.

    This goes on
    in a second line.

    Examples:
      watson do it \\
        --twice
    """
    assert help_of(documented(text)) == (
        "Do it.\n\nThis goes on in a second line.\n\n\b\nExamples:\n  watson do it \\\n    --twice"
    )


def test_the_help_in_a_terminal_shows_example_lines_whole(watson):
    out = watson("submit", "--help", COLUMNS="80").out
    assert "\n  watson submit image_ids.csv --dataset open-images \\\n" in "\n".join(
        line.removeprefix("  ") for line in out.splitlines()
    )


@pytest.mark.parametrize(
    ("group", "command"),
    [
        ("jobs", "cancel"),
        ("datasets", "snapshot"),
        ("dead-letters", "retry"),
        ("topics", "create"),
        ("catalogue", "migrate"),
        ("project", "rebuild"),
    ],
)
def test_a_group_alone_lists_its_commands_and_is_a_mistake(watson, group, command):
    done = watson(group)
    assert done.code == 2
    assert f"\n  {command} " in done.err.partition("Commands:")[2]
