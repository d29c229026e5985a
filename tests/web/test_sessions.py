from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.web.loopback import is_loopback
from watson.web.sessions import SECONDS, Sessions
from watson.web.tries import Tries


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


SESSIONS = Sessions("a token of some length")
COOKIE = SESSIONS.begin().cookie


def test_a_session_is_known_again_until_its_time_is_over() -> None:
    clock = Clock()
    sessions = Sessions("a token of some length", clock)
    session = sessions.begin()
    clock.now += SECONDS - 1
    assert sessions.read(session.cookie) == session
    clock.now += 1
    assert sessions.read(session.cookie) is None


def test_no_two_sessions_or_secrets_are_alike() -> None:
    found = [SESSIONS.begin() for _ in range(100)]
    assert len({session.cookie for session in found} | {SESSIONS.csrf_token(session) for session in found}) == 200


def test_servers_without_a_token_do_not_know_each_others_sessions_nor_cookies() -> None:
    one, two = Sessions(None), Sessions(None)
    assert two.read(one.begin().cookie) is None
    assert one.cookie_name != two.cookie_name


@given(place=st.integers(0, len(COOKIE) - 1), character=st.characters())
def test_a_cookie_with_any_character_changed_is_forged(place: int, character: str) -> None:
    changed = COOKIE[:place] + character + COOKIE[place + 1 :]
    assert (SESSIONS.read(changed) is None) == (changed != COOKIE)


@given(st.text(max_size=300))
def test_no_text_is_a_session_or_a_secret_by_chance(text: str) -> None:
    assert SESSIONS.read(text) is None
    assert not SESSIONS.is_csrf_token(SESSIONS.begin(), text)


def test_a_longer_time_cannot_be_written_into_a_cookie() -> None:
    expires, nonce, signature = COOKIE.split(".")
    assert SESSIONS.read(f"{int(expires) + 1}.{nonce}.{signature}") is None


def test_each_wrong_token_after_the_fifth_doubles_the_wait_up_to_five_minutes() -> None:
    clock = Clock()
    tries = Tries(clock)
    waits = []
    for _ in range(16):
        tries.failed("192.0.2.1")
        waits.append(tries.wait("192.0.2.1"))
        clock.now += waits[-1]
        assert tries.wait("192.0.2.1") == 0
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_right_token_and_an_hour_forget_the_wrong_ones_and_others_do_not_wait() -> None:
    clock = Clock()
    tries = Tries(clock)
    for _ in range(8):
        tries.failed("192.0.2.1")
    assert (tries.wait("192.0.2.1") > 0, tries.wait("192.0.2.2")) == (True, 0)
    clock.now += 3601
    assert tries.wait("192.0.2.1") == 0
    for _ in range(8):
        tries.failed("192.0.2.1")
    tries.succeeded("192.0.2.1")
    assert tries.wait("192.0.2.1") == 0


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    tries = Tries(Clock())
    for n in range(5):
        tries.failed(f"2001:db8::{n:x}")
    assert tries.wait("2001:db8::ffff%eth0") == 1
    assert tries.wait("2001:db8:0:1::1") == 0
    assert tries.wait(None) == 0


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "127.0.0.1", "127.255.255.254", "::1", "[::1]"])
def test_names_of_this_machine(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    ["", "0.0.0.0", "::", "localhost.", "localhost.example", "127.1", "127.0.0.1.", "::ffff:127.0.0.1", "0x7f.0.0.1"],  # noqa: S104 - not bound to
)
def test_what_may_be_somebody_elses_name(name: str) -> None:
    assert not is_loopback(name)
