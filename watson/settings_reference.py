"""Writes docs/settings.md from the settings themselves: ``python -m watson.settings_reference > docs/settings.md``."""

from __future__ import annotations

import re
from pathlib import Path

from watson.settings import Settings

__all__ = ["settings_reference"]

_HEAD = """# Settings

Every setting is an environment variable. They are read once, when a command or a worker starts; a wrong one is named
and nothing starts. Made from the code by `python -m watson.settings_reference > docs/settings.md`.
"""
_FIELD = re.compile(r"^    (?P<name>[a-z0-9_]+): (?P<type>[^=]+) = ")


def settings_reference() -> str:
    """The page, in Markdown, in the order and the groups of `watson.settings`."""
    lines = [_HEAD]
    source = Path(__file__).with_name("settings.py").read_text(encoding="utf-8")
    for line in source[source.index("model_config") : source.index("@field_validator")].splitlines():
        if line.startswith("    # "):
            title = line.removeprefix("    # ")
            lines += [f"\n## {title[0].upper()}{title[1:]}\n", "| variable | default | meaning |", "|---|---|---|"]
        elif match := _FIELD.match(line):
            field = Settings.model_fields[match["name"]]
            default = "" if field.default is None else f"`{field.default}`"
            description = (field.description or "").replace("|", "\\|")
            lines.append(f"| `WATSON_{match['name'].upper()}` | {default} | {description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(settings_reference(), end="")  # noqa: T201 - the command's output
