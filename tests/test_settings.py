from pathlib import Path

import pytest

from watson.errors import UserError
from watson.settings import Settings, load_settings
from watson.settings_reference import settings_reference

ROOT = Path(__file__).parents[1]


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WATSON_PARTITIONS", "64")
    assert load_settings().partitions == 64


def test_a_wrong_setting_is_named_with_what_is_wrong(monkeypatch):
    monkeypatch.setenv("WATSON_PARTITIONS", "none")
    monkeypatch.setenv("WATSON_TABLE_STORE", "floppy")
    with pytest.raises(UserError, match=r"(?s)WATSON_PARTITIONS: .*integer.*WATSON_TABLE_STORE: .*rocksdb"):
        load_settings()


def test_secrets_are_not_shown():
    assert "hunter2" not in repr(Settings(s3_secret_key="hunter2", cassandra_password="hunter2"))


def test_every_setting_is_on_the_settings_page():
    page = settings_reference()
    missing = [name for name in Settings.model_fields if f"`WATSON_{name.upper()}`" not in page]
    assert missing == []


def test_the_settings_page_is_up_to_date():
    assert (ROOT / "docs" / "settings.md").read_text() == settings_reference(), (
        "run: python -m watson.settings_reference > docs/settings.md"
    )


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "x" * 501, "with a space in it", "no\nline breaks here", "é" * 20]
)
def test_a_token_that_can_be_guessed_or_not_be_typed_is_refused_without_being_shown(monkeypatch, token):
    monkeypatch.setenv("WATSON_WEB_TOKEN", token)
    with pytest.raises(UserError, match=r"WATSON_WEB_TOKEN: .*openssl rand -hex 32") as refused:
        load_settings()
    assert not token or token not in str(refused.value)


def test_a_token_is_not_shown_with_the_settings(monkeypatch):
    monkeypatch.setenv("WATSON_WEB_TOKEN", "x" * 16)
    assert "x" * 16 not in repr(load_settings())
