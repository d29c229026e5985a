import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.errors import ReasonCode
from watson.stages.breaker import pressure, why_paused
from watson.stages.discover import Counts

CLEAN = Counts()


def after(ends: str, start: int = 0) -> int:
    """The pressure after ends in a row: f accuses the deployment, c is catalogued, p accuses the picture."""
    pressed, known = start, CLEAN
    for end in ends:
        now = (
            known
            + {
                "f": Counts(quarantined=1, accused=1),
                "c": Counts(catalogued=1),
                "p": Counts(quarantined=1),
            }[end]
        )
        pressed, known = pressure(pressed, known, now), now
    return pressed


def test_each_failure_of_the_deployment_adds_one():
    assert after("f" * 50) == 50


def test_what_went_well_before_does_not_hide_a_bad_deploy():
    assert after("c" * 10_000 + "f" * 50) == 50


def test_a_failure_here_and_there_never_adds_up():
    assert after(("f" * 8 + "c") * 500) < 10


def test_more_than_nine_failures_in_ten_add_up():
    assert after(("f" * 19 + "c") * 10) >= 50


def test_pictures_that_are_themselves_at_fault_tell_nothing():
    assert after("p" * 1000) == 0
    assert after("fp" * 50) == 50


def test_a_picture_that_is_catalogued_after_its_quarantine_takes_off_and_adds_nothing():
    failed = Counts(discovered=1, quarantined=1, accused=1)
    assert pressure(20, failed, Counts(discovered=1, catalogued=1)) == 11


def test_a_retry_adds_nothing_and_its_failure_adds_one():
    failed = Counts(discovered=1, quarantined=1, accused=1)
    flying = Counts(discovered=1, retried=1)
    again = failed + flying - Counts(discovered=1)
    assert pressure(5, failed, flying) == 5
    assert pressure(5, flying, again) == 6


@given(st.text("fcp", max_size=60), st.integers(0, 60))
def test_it_is_never_negative_and_a_failure_never_takes_off(ends, start):
    assert 0 <= after(ends, start) <= after(ends + "f", start)


def test_what_the_person_reads_says_how_many_what_and_what_to_do():
    said = why_paused("street", Counts(quarantined=60, accused=52), "segment: model-failed: no device.")
    assert "52 pictures" in said
    assert "segment: model-failed: no device. " in said
    assert said.endswith("watson jobs resume street")


@pytest.mark.parametrize("reason", [ReasonCode.TRUNCATED, ReasonCode.OBJECT_MISSING, ReasonCode.TOO_MANY_PIXELS])
def test_what_is_wrong_with_the_picture_does_not_accuse_the_deployment(reason):
    assert not reason.accuses_deployment


def test_whatever_can_pass_accuses_the_deployment_but_for_missing_pictures():
    assert {code for code in ReasonCode if code.passes} - {ReasonCode.OBJECT_MISSING} <= {
        code for code in ReasonCode if code.accuses_deployment
    }
