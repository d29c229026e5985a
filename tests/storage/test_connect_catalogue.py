from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from watson.errors import UserError
from watson.settings import Settings
from watson.storage.cassandra import CassandraCatalogue
from watson.storage.cassandra_cluster import cassandra_address
from watson.storage.connect_catalogue import catalogue
from watson.storage.sqlite import SqliteCatalogue


def test_sqlite_takes_relative_and_absolute_paths(tmp_path: Path) -> None:
    for path in ("x/catalogue.db", str(tmp_path / "c.db")):
        store = catalogue(Settings(catalogue=f"sqlite:{path}"))
        assert isinstance(store, SqliteCatalogue)
        assert store._path == Path(path)


@pytest.mark.parametrize(
    ("url", "hosts", "port"),
    [
        ("cassandra://db/watson", ("db",), 9042),
        ("cassandra://db-1.example,db-2.example:9043/watson", ("db-1.example", "db-2.example"), 9043),
        ("cassandra://[::1]:9042/watson", ("::1",), 9042),
    ],
)
def test_cassandra_takes_hosts_port_and_keyspace(url: str, hosts: tuple[str, ...], port: int) -> None:
    assert isinstance(catalogue(Settings(catalogue=url)), CassandraCatalogue)
    address = cassandra_address(url)
    assert (address.hosts, address.port, address.keyspace) == (hosts, port, "watson")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite",
        "sqlite:",
        "sqlite:///x.db",
        "postgres://x/y",
        "cassandra:",
        "cassandra://",
        "cassandra://host",
        "cassandra://host:0/watson",
        "cassandra://host:99999/watson",
        "cassandra://host/Watson",
        "cassandra://host/w; DROP KEYSPACE x",
        "cassandra://host/",
        "cassandra://a,,b/watson",
    ],
)
def test_anything_else_is_refused_with_what_is_wanted(url: str) -> None:
    with pytest.raises(UserError, match=r"WATSON_CATALOGUE is .*it must be"):
        catalogue(Settings(catalogue=url))


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match="WATSON_CASSANDRA_PASSWORD") as caught:
        catalogue(Settings(catalogue="cassandra://me:secret@host/watson"))
    assert "secret" not in str(caught.value)


async def test_a_user_without_a_password_is_refused() -> None:
    store = catalogue(Settings(catalogue="cassandra://host/watson", cassandra_username="me"))
    with pytest.raises(UserError, match="only one is set"):
        await store.open()


def test_sqlite_never_loads_the_cassandra_driver() -> None:
    code = (
        "import sys; from watson.settings import Settings; from watson.storage.connect_catalogue import catalogue;"
        "catalogue(Settings(catalogue='sqlite:x.db')); sys.exit('cassandra' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_a_driver_without_an_event_loop_is_refused_with_what_to_install() -> None:
    code = (
        "import sys; sys.modules['cassandra.io.libevwrapper'] = sys.modules['asyncore'] = None\n"
        "from watson.settings import Settings; from watson.storage.connect_catalogue import catalogue\n"
        "catalogue(Settings(catalogue='cassandra://host/watson'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, capture_output=True, text=True)
    assert "UserError: cassandra-driver was built without libev" in ended.stderr
