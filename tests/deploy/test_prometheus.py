"""Rules and alerts, judged by Prometheus' own tool; and that code, rules and runbooks name the same things."""

from __future__ import annotations

import re

import pytest

from tests.deploy.prometheus import RULES, promtool, rules, selectors
from tests.services.places import ROOT
from tests.services.prerequisites import prometheus
from tests.services.report import ServiceError
from watson import metrics
from watson.errors import ReasonCode

PLACE = ROOT / "deploy/prometheus"


@pytest.fixture
def tool() -> None:
    try:
        prometheus()
    except ServiceError as exc:
        pytest.skip(str(exc))


@pytest.mark.usefixtures("tool")
def test_the_configuration_and_the_rules_are_taken() -> None:
    done = promtool("check", "config", str(PLACE / "prometheus.yml"))
    assert done.returncode == 0, done.stderr.decode()
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.usefixtures("tool")
def test_each_alert_fires_where_it_should_and_not_before() -> None:
    done = promtool("test", "rules", str(PLACE / "tests/alerts_test.yml"))
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


@pytest.mark.usefixtures("tool")
def test_what_workers_export_has_no_fault_that_the_linter_knows() -> None:
    metrics.begin("segment", 1.0)
    done = promtool("check", "metrics", given=metrics.render())
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_every_alert_is_tested_both_ways() -> None:
    text = (PLACE / "tests/alerts_test.yml").read_text()
    for rule in rules():
        if name := rule.get("alert"):
            assert f"alertname: {name} }}" in text, f"{name} is nowhere expected to be silent"
            assert f"alertname: {name}\n        exp_alerts" in text, f"{name} is nowhere expected to fire"


def test_every_alert_has_a_section_that_says_what_to_do() -> None:
    titles = re.findall(r"^### (\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    alerts = [rule for rule in rules() if "alert" in rule]
    assert {rule["alert"] for rule in alerts} == {title for title in titles if title.startswith("Watson")}
    for rule in alerts:
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_rules_ask_for_metrics_that_there_are() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        for selector in selectors(rule["expr"]):
            name = selector.partition("{")[0]
            assert name in recorded or re.sub(r"_(bucket|sum|count)$", "", name) in metrics.TABLE, name


def test_the_error_budget_counts_the_reasons_that_accuse_the_deployment() -> None:
    (rule,) = [rule for rule in rules() if rule.get("record") == "watson:own_failures:ratio1h"]
    (reasons,) = re.findall(r'reason=~"([^"]+)"', rule["expr"])
    assert set(reasons.split("|")) == {code.value for code in ReasonCode if code.accuses_deployment}
