"""The dashboards: the JSON that is committed is what the code makes, and asks for metrics that there are."""

from __future__ import annotations

import json
import re

import pytest

from deploy.grafana.generate import ALL, DASHBOARDS, Dashboard, rendered
from watson import metrics

_METRIC = re.compile(r"\bwatson_[a-z0-9_]+\b(?!=)")  # labels are followed by a matcher
_PARTS = re.compile(r"_(bucket|sum|count)$")


@pytest.mark.parametrize("dashboard", ALL, ids=lambda dashboard: dashboard.name)
def test_the_committed_dashboard_is_what_the_code_makes(dashboard: Dashboard) -> None:
    assert (DASHBOARDS / f"{dashboard.name}.json").read_text("utf-8") == rendered(dashboard), (
        "run python -m deploy.grafana.generate"
    )


def test_there_is_no_other_dashboard() -> None:
    assert {path.stem for path in DASHBOARDS.iterdir()} == {dashboard.name for dashboard in ALL}


@pytest.mark.parametrize("dashboard", ALL, ids=lambda dashboard: dashboard.name)
def test_every_metric_that_a_panel_asks_for_is_in_the_table(dashboard: Dashboard) -> None:
    asked = {name for row in dashboard.panels.values() for panel in row for query in panel.queries.values()
             for name in _METRIC.findall(query)}  # fmt: skip
    assert asked
    assert {_PARTS.sub("", name) for name in asked} <= set(metrics.TABLE)


@pytest.mark.parametrize("dashboard", ALL, ids=lambda dashboard: dashboard.name)
def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: Dashboard) -> None:
    panels = json.loads(rendered(dashboard))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in panels
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
