"""What an audit takes from the log's events."""

from datetime import timedelta

from tests.storage.events import NOON, registered, withdrawn
from watson.audit.log import JobLog


def test_which_models_stand_goes_by_the_time_of_events_and_not_by_their_order():
    event = registered("m", "1", time=NOON + timedelta(seconds=1))
    log = JobLog("j")
    for said in (event, withdrawn("m", "1", time=NOON)):
        log.take(said)
    assert log.models == {event.key: event}
    log.take(withdrawn("m", "1", time=NOON + timedelta(seconds=2)))
    assert log.models == {}
