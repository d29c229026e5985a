from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from watson.errors import ReasonCode
from watson.events import EVENT_TYPES, TOPICS
from watson.events.reference import reference

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_what_the_models_say() -> None:
    assert (ROOT / "docs" / "events.md").read_text("utf-8") == reference(), (
        "docs/events.md is stale: run python -m watson.events.reference > docs/events.md"
    )


def test_the_command_prints_the_page() -> None:
    command = [sys.executable, "-m", "watson.events.reference"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == reference()


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=lambda event: event.kind)
def test_each_event_has_a_section_that_names_all_its_fields(event: type) -> None:
    section = reference().split(f"## {event.__name__}\n")[1].split("\n## ")[0]
    assert f"`watson.{event.kind}.v{event.version}` in topic `{event.topic}`" in section
    assert [f"| `{name}` |" in section for name in event.model_fields] == [True] * len(event.model_fields)


def test_every_topic_and_every_reason_is_named() -> None:
    page = reference()
    assert all(f"| `{topic}` |" in page for topic in TOPICS)
    assert all(f"`{code.value}`" in page for code in ReasonCode)
