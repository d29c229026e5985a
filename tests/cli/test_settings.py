"""What commands make of settings that are wrong: exit code 2, and the variable's name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import SecretStr

from watson.errors import UserError
from watson.settings import Settings, load_settings
from watson.settings_reference import settings_reference


def takes_any_text(name: str) -> bool:
    kind = Settings.model_fields[name].annotation
    return kind in (str, str | None, SecretStr | None, Path) and name != "brokers"


TYPED = sorted(name for name in Settings.model_fields if not takes_any_text(name))
NUMBERS = sorted(name for name in TYPED if Settings.model_fields[name].annotation in (int, float))


@pytest.mark.parametrize("name", TYPED)
def test_each_setting_that_has_a_form_is_named_where_it_is_malformed(watson, name):
    variable = f"WATSON_{name.upper()}"
    done = watson("jobs", "list", **{variable: "not: right"})
    assert (done.code, done.out) == (2, "")
    head, line = done.err.splitlines()
    assert head == "watson: Settings are wrong:"
    assert line.startswith(f"  {variable}: ")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["-1", "inf", "nan", "", "1e999"])
def test_no_number_is_below_nothing_or_without_end(name, value, monkeypatch):
    monkeypatch.setenv(f"WATSON_{name.upper()}", value)
    with pytest.raises(UserError, match=f"WATSON_{name.upper()}: "):
        load_settings()


@pytest.mark.parametrize(
    ("name", "most"),
    [("request_timeout", 1_000_000), ("stall_timeout", 1_000_000), ("partitions", 100_000), ("replication", 1000)],
)
def test_no_number_is_greater_than_what_kafka_counts(name, most):
    assert getattr(load_settings(**{name: most}), name) == most
    with pytest.raises(UserError, match=f"WATSON_{name.upper()}: "):
        load_settings(**{name: most + 1})


@pytest.mark.parametrize("prefix", ["my topics-", "a/", "ä", "\udcff", "a\n", "p" * 201])
def test_a_prefix_that_kafka_would_refuse_in_a_name_is_refused(prefix):
    with pytest.raises(UserError, match="WATSON_TOPIC_PREFIX: "):
        load_settings(topic_prefix=prefix)


@pytest.mark.parametrize("value", [["topics", "create"], ["worker", "discover"], ["submit", ".", "-d", "a"]])
def test_all_settings_that_are_wrong_are_named_at_once_by_every_command(watson, value):
    done = watson(*value, WATSON_PARTITIONS="0", WATSON_LOG_LEVEL="LOUD", WATSON_WEB_PORT="65536")
    assert (done.code, done.out) == (2, "")
    named = [line.partition(":")[0].strip() for line in done.err.splitlines()[1:]]
    assert sorted(named) == ["WATSON_LOG_LEVEL", "WATSON_PARTITIONS", "WATSON_WEB_PORT"]


def test_a_secret_is_not_shown_with_the_settings_that_are_wrong(watson):
    done = watson("jobs", "list", WATSON_S3_SECRET_KEY="hunter2", WATSON_PARTITIONS="hunter2")
    assert "WATSON_PARTITIONS" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    "brokers",
    ["kafka:9092", "kafka", "a:1,b:65535", "a:1, b:2", "10.0.0.1:9092", "[::1]:9092", "kafka-0.kafka.svc:9092"],
)
def test_brokers_are_host_and_port(brokers):
    assert load_settings(brokers=brokers).brokers == brokers


@pytest.mark.parametrize(
    ("brokers", "wrong"),
    [
        ("", ""),
        ("a:1,", ""),
        ("a:b:c", "a:b:c"),
        ("kafka:nine", "kafka:nine"),
        ("kafka:", "kafka:"),
        ("kafka:0", "kafka:0"),
        ("a:1,kafka:65536", "kafka:65536"),
        ("kafka://a:1", "kafka://a:1"),
        ("a:1 b:2", "a:1 b:2"),
        ("\udcff:1", "\udcff:1"),
    ],
)
def test_a_broker_that_is_not_host_and_port_is_named(watson, brokers, wrong):
    done = watson("topics", "create", WATSON_BROKERS=brokers)
    assert done.code == 2
    assert f"WATSON_BROKERS: Value error, {wrong!r} is not host:port" in done.err


@pytest.mark.parametrize(
    "catalogue",
    ["nonsense", "", "sqlite:", "sqlite://x", "sqlite:~no-such-person/x", "cassandra://", "cassandra://h:x/y"],
)
def test_a_catalogue_that_is_none_is_refused_with_the_variable(watson, catalogue):
    assert "WATSON_CATALOGUE" in watson("jobs", "list", WATSON_CATALOGUE=catalogue).refused()


@pytest.mark.parametrize("objects", ["nonsense", "", "file:", "file://host/x", "s3://", "s3://b/../x"])
def test_an_object_store_that_is_none_is_refused_with_the_variable(watson, objects):
    watson.migrate()
    assert "WATSON_OBJECTS" in watson("export", "a", "--out", "out", WATSON_OBJECTS=objects).refused()


def test_an_object_store_that_is_a_file_is_refused(watson):
    watson.migrate()
    file = watson.folder / "file"
    file.touch()
    assert str(file) in watson("export", "a", "--out", "out", WATSON_OBJECTS=f"file:{file}").refused()


def test_an_s3_endpoint_that_is_none_is_refused_with_the_variable(watson):
    watson.migrate()
    done = watson("export", "a", "--out", "out", WATSON_OBJECTS="s3://bucket", WATSON_S3_ENDPOINT="nonsense")
    assert "WATSON_S3_ENDPOINT" in done.refused()


def test_the_settings_page_gives_every_setting_once_with_its_default_and_meaning():
    lines = [line for line in settings_reference().splitlines() if line.startswith("| `WATSON_")]
    assert [line.split("`")[1] for line in lines] == [f"WATSON_{name.upper()}" for name in Settings.model_fields]
    for line, field in zip(lines, Settings.model_fields.values(), strict=True):
        assert field.default is None or f"| `{field.default}` |" in line
        assert (field.description or "").replace("|", "\\|") in line


def test_the_settings_page_is_in_groups_with_a_table_each():
    page = settings_reference()
    groups = page.split("\n## ")[1:]
    assert len(groups) > 3
    for group in groups:
        assert "\n| variable | default | meaning |\n|---|---|---|\n| `WATSON_" in group


def test_every_choice_of_a_setting_is_taken(monkeypatch):
    choices = {
        name: get_args(field.annotation)
        for name, field in Settings.model_fields.items()
        if get_origin(field.annotation) is Literal
    }
    assert choices
    for name, values in choices.items():
        for value in values:
            monkeypatch.setenv(f"WATSON_{name.upper()}", value)
            assert getattr(load_settings(), name) == value
