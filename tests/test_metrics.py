from __future__ import annotations

import ast
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

import watson
from watson import metrics
from watson.errors import ReasonCode
from watson.metrics_reference import metrics_reference

PACKAGE = Path(watson.__file__).parent


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_is_rendered_is_prometheus_text_with_every_metric_of_the_table() -> None:
    families = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert {name.removesuffix("_total") for name in metrics.TABLE} <= families
    assert metrics.CONTENT_TYPE.startswith("text/plain")


def test_the_table_tells_the_kind_that_is_exported() -> None:
    kinds = {
        family.name: family.type
        for family in text_string_to_metric_families(metrics.render().decode())
        if family.name.startswith("watson_")
    }
    for row in metrics.TABLE.values():
        assert kinds[row.name.removesuffix("_total")] == row.kind


@pytest.mark.parametrize("row", metrics.TABLE.values(), ids=lambda row: row.name)
def test_names_follow_prometheus_practice(row: metrics.Metric) -> None:
    assert row.name.startswith("watson_")
    assert row.name.endswith("_total") == (row.kind == "counter")
    assert row.name.removesuffix("_total").endswith("_seconds") == (row.unit == "seconds")
    assert row.help.endswith(".")


@pytest.mark.parametrize("row", metrics.TABLE.values(), ids=lambda row: row.name)
def test_no_label_can_grow_with_the_number_of_jobs_or_images(row: metrics.Metric) -> None:
    assert set(row.labels) <= set(metrics.LABELS)
    assert not {"image", "uri", "key", "host", "event"} & set(row.labels)
    assert "job" not in row.labels  # Prometheus' own
    assert ("watson_job" in row.labels) == (row.name == "watson_job_images")  # of which there are `MOST_JOBS` at most


def test_the_metrics_that_dashboards_and_alerts_rest_on_are_there() -> None:
    assert {
        "watson_events_total",
        "watson_event_seconds",
        "watson_work_seconds",
        "watson_retries_total",
        "watson_dead_letters_total",
        "watson_in_flight",
        "watson_batch_size",
        "watson_model_seconds",
        "watson_emit_seconds",
        "watson_consumer_lag",
        "watson_ready",
        "watson_stalled_seconds",
        "watson_object_store_seconds",
        "watson_catalogue_seconds",
        "watson_jobs_in_flight",
        "watson_build_info",
    } <= set(metrics.TABLE)


def test_every_public_metric_object_stands_in_the_table() -> None:
    objects = [value for value in vars(metrics).values() if isinstance(value, Counter | Gauge | Histogram)]
    assert len(objects) == len(metrics.TABLE)


def test_every_metric_that_the_code_uses_exists() -> None:
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics":
                used.add((path.name, node.attr))
    assert used, "nothing counts anything: this test looks for the wrong thing"
    assert [(where, name) for where, name in sorted(used) if not hasattr(metrics, name)] == []


def test_every_metric_of_the_table_is_counted_somewhere() -> None:
    code = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "metrics.py")
    names = {name for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)}
    assert {name for name in names - {"_BUILD_INFO", "PRICE"} if f"metrics.{name}" not in code} == set()


def test_a_role_shows_its_counters_as_0_before_anything_was_counted() -> None:
    metrics.begin("train", 1.25)
    text = metrics.render().decode()
    assert 'watson_dead_letters_total{reason="truncated",role="train"} 0.0' in text
    assert 'watson_events_total{outcome="quarantined",role="train"} 0.0' in text
    assert 'watson_event_seconds_count{role="train"} 0.0' in text
    assert sample("watson_price_per_hour", role="train") == 1.25


def test_counting_shows_in_what_is_rendered() -> None:
    before = sample("watson_dead_letters_total", role="preprocess", reason=ReasonCode.TRUNCATED.value)
    metrics.DEAD_LETTERS.labels("preprocess", ReasonCode.TRUNCATED.value).inc()
    assert sample("watson_dead_letters_total", role="preprocess", reason="truncated") == before + 1
    assert b'watson_dead_letters_total{reason="truncated",role="preprocess"}' in metrics.render()


def test_the_page_is_made_from_the_table() -> None:
    page = Path(__file__).parents[1] / "docs/metrics.md"
    assert page.read_text("utf-8") == metrics_reference(), "python -m watson.metrics_reference > docs/metrics.md"


def test_the_version_is_exported() -> None:
    assert sample("watson_build_info", version=watson.__version__) == 1.0
