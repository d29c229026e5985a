"""A real job under a real Prometheus: every panel of every dashboard and every rule has data to show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.grafana.generate import ALL
from tests.deploy.prometheus import Prometheus, rules, selectors
from tests.end_to_end.test_pipeline import JOB, submit
from tests.services.prerequisites import prometheus
from tests.services.process import wait_until
from tests.services.report import ServiceError

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

CHOSEN = {"$__rate_interval": "1m", "$role": ".+", "$job": JOB}
SILENT = "offset 15m"  # asks for what was a quarter of an hour ago


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"WATSON_PRICE_PER_HOUR": "0.5"}


@pytest.fixture
def scraped(line, tmp_path) -> Iterator[Prometheus]:
    try:
        prometheus()
    except ServiceError as exc:
        pytest.skip(str(exc))
    line.start()
    server = Prometheus(tmp_path, [f"127.0.0.1:{worker.port}" for worker in line.workers.values()])
    server.start()
    # it begins to scrape some seconds later, and what happens once should be seen to happen
    line.wait(lambda: len(server.ask("up == 1")) == len(line.workers), 60, "all workers are scraped")
    yield server
    server.kill()


def asked() -> dict[str, str]:
    """Every expression of panels and rules, by where it stands. Of alerts, what they look at: they are silent here."""
    found = {}
    for dashboard in ALL:
        for row in dashboard.panels.values():
            for panel in row:
                for legend, query in panel.queries.items():
                    for name, value in CHOSEN.items():
                        query = query.replace(name, value)  # noqa: PLW2901 - one after another
                    found[f"{dashboard.name}: {panel.title} {legend}"] = query
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = rule["expr"]
        else:
            found |= {f"{rule['alert']}: {each}": each for each in selectors(rule["expr"])}
    return found


def test_every_panel_and_every_rule_has_data(line, upload, scraped, kafka, topic_prefix, bucket):
    upload(120)
    submit(kafka, topic_prefix, bucket, "test-threshold")
    line.begin("segment")  # not scraped: a rebalance for the first one, and for it to recover from
    without = asked()
    assert len(without) > 80

    def all_answered() -> bool:
        for where, query in list(without.items()):
            if _numbers(scraped, query):
                del without[where]
        return not without

    assert wait_until(all_answered, seconds=120), f"no data: {without}"
    line.wait(lambda: line.complete(JOB), 120, "the job is complete")
    assert scraped.rule_errors() == []
    assert [series["metric"]["alertname"] for series in scraped.ask('ALERTS{alertstate="firing"}')] == []


def _numbers(server: Prometheus, query: str) -> bool:
    return any(series["value"][1] != "NaN" for series in server.ask(query))
