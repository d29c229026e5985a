from __future__ import annotations

import asyncio
import base64

import pytest
from aiokafka import AIOKafkaProducer

from tests.storage.events import changed, quarantined
from watson.actions.retry import Choice, to_retry
from watson.agents.quarantine import failed_record
from watson.errors import ReasonCode
from watson.events import FailedRecord, ImageQuarantined, Record, image_key
from watson.storage.catalogue import DeadLetterRow

JOB = "street-1"
ANY = Choice(JOB)


def failed(
    offset: int | None, *, partition: int = 0, topic: str = "image-discovered", **changes: object
) -> FailedRecord:
    fields = {"key": b"\x00\xff", "value": b"value %d" % (offset or 0), "headers": (("ce_id", b"7"),), **changes}
    return FailedRecord(topic=topic, partition=partition, offset=offset, **fields)


def letter(name: str, offset: int = 0, **changes: object) -> ImageQuarantined:
    return quarantined(JOB, name, **{"failed": failed(offset), "uri": f"file:///{name}", **changes})


AWAY = {"reason": ReasonCode.STORE_UNAVAILABLE}


def test_letters_are_listed_one_a_line_with_tabs_and_no_colours(watson):
    watson.write(changed(JOB), letter("a", message="ends\nearly"), resolved=[letter("b", 1, **AWAY)])
    done = watson("dead-letters", "list", "--job", JOB)
    assert (done.code, done.err) == (0, "")
    assert sorted(done.rows) == [
        ["store-unavailable (resolved)", "preprocess", "file:///b", "the file ends early"],
        ["truncated", "preprocess", "file:///a", "ends early"],
    ]


def test_a_picture_named_to_deceive_moves_no_cursor(watson):
    watson.write(changed(JOB), letter("a", uri="unreadable:\x1b]0;owned\x07", message="[red]\tall is well"))
    assert watson("dead-letters", "list", "--job", JOB).rows == [
        ["truncated", "preprocess", r"unreadable:\x1b]0;owned\x07", "[red] all is well"]
    ]


def test_a_letter_without_an_address_is_named_by_its_place_in_the_log(watson):
    watson.write(quarantined(None, "x", reason=ReasonCode.UNDECODABLE_EVENT, failed=failed(9, partition=3)))
    ((reason, _, what, _),) = watson("dead-letters", "list").rows
    assert (reason, what) == ("undecodable-event", "image-discovered[3]@9")


def test_a_reason_chooses_among_the_letters(watson):
    watson.write(changed(JOB), letter("a"), letter("b", 1, **AWAY))
    done = watson("dead-letters", "list", "--job", JOB, "--reason", "store-unavailable")
    assert [row[2] for row in done.rows] == ["file:///b"]


@pytest.mark.parametrize("command", ["list", "retry"])
@pytest.mark.parametrize("reason", ["broken", "", "TRUNCATED", "truncated "])
def test_a_reason_that_there_is_not_is_refused_with_those_that_there_are(watson, command, reason):
    watson.write(changed(JOB), letter("a"))
    line = watson("dead-letters", command, "--job", JOB, "--reason", reason).refused()
    assert line.startswith(f"watson: there is no reason {reason!r}")
    assert all(code in line for code in ReasonCode)


def test_the_letter_of_a_manifest_that_was_refused_is_listed_though_its_job_never_came_to_be(watson):
    watson.write(quarantined(JOB, "x", reason=ReasonCode.UNSUPPORTED_VERSION, message="too new", image_key=None))
    assert [row[0] for row in watson("dead-letters", "list", "--job", JOB).rows] == ["unsupported-version"]
    line = watson("status", JOB, "--once").refused()
    assert f"a dead letter of it: unsupported-version: too new (watson dead-letters list --job {JOB})" in line


@pytest.mark.parametrize("command", ["list", "retry"])
def test_letters_of_a_job_that_there_is_not_are_refused(watson, command):
    watson.write(changed(JOB))
    assert "there is no job 'street'" in watson("dead-letters", command, "--job", "street").refused()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--job", JOB], "nothing of job street-1 is quarantined"),
        (["--job", JOB, "--reason", "corrupt"], "nothing of job street-1 is quarantined as corrupt"),
        ([], "nothing that belongs to no job is quarantined; --job JOB lists what a job has"),
    ],
)
def test_no_letters_are_no_rows_and_a_word_on_standard_error(watson, arguments, said):
    watson.write(changed(JOB))
    done = watson("dead-letters", "list", *arguments)
    assert (done.code, done.out, done.err) == (0, "", said + "\n")
    assert watson("dead-letters", "list", *arguments, "--json").json == []


def test_no_more_letters_are_shown_than_asked_for_and_that_there_are_more_is_said(watson):
    watson.write(changed(JOB), *(letter(f"{number}", number) for number in range(5)))
    done = watson("dead-letters", "list", "--job", JOB, "--most", 4)
    assert len(done.rows) == 4
    assert done.err == "there are more than 4: --most shows more\n"
    whole = watson("dead-letters", "list", "--job", JOB, "--most", 5)
    assert (len(whole.rows), whole.err) == (5, "")


def test_more_letters_than_a_page_holds_are_all_listed_once(watson):
    watson.write(changed(JOB), *(letter(f"{number}", number) for number in range(1001)))
    done = watson("dead-letters", "list", "--job", JOB, "--most", 2000)
    assert len({row[2] for row in done.rows}) == len(done.rows) == 1001


def test_letters_as_json_carry_the_failed_record_byte_for_byte(watson):
    watson.write(changed(JOB), resolved=[letter("a")])
    (row,) = watson("dead-letters", "list", "--job", JOB, "--json").json
    assert row.keys() == {*ImageQuarantined.model_fields, "resolved"}
    assert row["resolved"] is True
    assert base64.urlsafe_b64decode(row["failed"]["key"]) == b"\x00\xff"
    assert ImageQuarantined.model_validate({k: v for k, v in row.items() if k != "resolved"}) == letter("a")


def rows(*letters: ImageQuarantined, resolved: bool = False) -> list[DeadLetterRow]:
    return [DeadLetterRow(event=event, resolved=resolved) for event in letters]


def test_a_record_that_two_letters_speak_of_is_sent_once():
    assert to_retry(rows(letter("a"), letter("a", stage="segment"), letter("b", 1)), ANY, 9) == [failed(0), failed(1)]


def test_images_that_vanished_are_all_sent_though_nobody_knows_their_offsets():
    letters = rows(*(letter(name, failed=failed(None, value=name.encode())) for name in "abc"))
    assert [record.value for record in to_retry(letters, ANY, 100)] == [b"a", b"b", b"c"]


def test_the_same_offset_of_another_partition_or_topic_is_another_record():
    others = [failed(0), failed(0, partition=1), failed(0, topic="segmented")]
    letters = rows(*(letter(f"{number}", failed=record) for number, record in enumerate(others)))
    assert to_retry(letters, ANY, 9) == others


def test_what_was_resolved_is_not_sent_even_where_it_comes_first():
    assert to_retry(rows(letter("a"), resolved=True) + rows(letter("b", 1)), ANY, 1) == [failed(1)]


def test_one_image_can_be_chosen():
    assert to_retry(rows(letter("a"), letter("b", 1)), Choice(JOB, image=image_key("file:///b")), 9) == [failed(1)]


def test_no_more_records_are_sent_than_asked_for():
    assert to_retry(rows(*(letter(f"{number}", number) for number in range(5))), ANY, 2) == [failed(0), failed(1)]


def test_a_record_of_nothing_does_not_keep_the_others_from_being_sent():
    nothing = failed(0, key=None, value=None)
    halves = [failed(1, key=None), failed(2, value=None)]
    letters = rows(*(letter(f"{record.offset}", failed=record) for record in (nothing, *halves)))
    assert to_retry(letters, ANY, 9) == halves


def test_nothing_to_retry_asks_no_broker(watson):
    watson.write(changed(JOB), resolved=[letter("a")])
    done = watson("dead-letters", "retry", "--job", JOB)
    assert (done.code, done.out) == (0, "sent 0 again\n")


def test_a_retry_with_the_broker_away_says_where_it_was_looked_for(watson):
    watson.write(changed(JOB), letter("a"))
    assert watson.settings.brokers in watson("dead-letters", "retry", "--job", JOB).refused(69)


@pytest.mark.services
def test_each_open_letter_is_sent_once_byte_for_byte_to_where_it_failed(watson, cluster):
    watson.write(
        changed(JOB),
        letter("a", failed=failed(5, partition=1, headers=(("ce_id", b"7"), ("redrive", b"3")))),
        letter("a", stage="segment", failed=failed(5, partition=1)),
        letter("b", failed=failed(6, key=None)),
        letter("nothing", failed=failed(9, key=None, value=None)),
        letter("c", failed=failed(7, topic="segmented")),
        resolved=[letter("d", 8)],
    )
    assert watson("dead-letters", "retry", "--job", JOB).out == "sent 3 again\n"
    sent = [
        (r.topic, r.partition, r.key, r.value)
        for topic in ("image-discovered", "segmented")
        for r in cluster.records(topic)
    ]
    assert sorted(sent, key=str) == sorted(
        [
            ("image-discovered", 0, None, b"value 6"),
            ("image-discovered", 1, b"\x00\xff", b"value 5"),
            ("segmented", 0, b"\x00\xff", b"value 7"),
        ],
        key=str,
    )
    (record,) = [record for record in cluster.records("image-discovered") if record.partition == 1]
    assert record.headers == (("ce_id", b"7"), ("redrive", b"retry"), ("first-offset", b"5"))


@pytest.mark.services
def test_a_retry_of_one_reason_leaves_the_others_alone(watson, cluster):
    watson.write(changed(JOB), letter("a"), letter("b", 1, **AWAY))
    assert watson("dead-letters", "retry", "--job", JOB, "--reason", "store-unavailable").out == "sent 1 again\n"
    (record,) = cluster.records("image-discovered")
    assert record.value == b"value 1"


@pytest.mark.services
def test_a_letter_of_a_topic_that_there_is_not_is_refused_before_anything_is_sent(watson, cluster):
    watson.write(changed(JOB), letter("a"), letter("b", failed=failed(1, topic="elsewhere")))
    assert "elsewhere" in watson("dead-letters", "retry", "--job", JOB).refused()
    assert cluster.records("image-discovered") == []


@pytest.mark.services
def test_a_letter_of_a_partition_that_there_is_not_is_refused_in_one_line(watson, cluster):
    watson.write(changed(JOB), letter("a", failed=failed(1, partition=7)))
    assert "did not take the events" in watson("dead-letters", "retry", "--job", JOB).refused()


def as_sent(watson, *values: bytes) -> None:
    """Records in the log, from offset 0 of partition 0 of ``segmented``, as a stage sent them."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=watson.settings.brokers, max_request_size=1_040_000)
        await producer.start()
        for value in values:
            topic = watson.settings.topic("segmented")
            await producer.send_and_wait(topic, value, key=b"k", partition=0, headers=[("ce_id", b"7")])
        await producer.stop()

    asyncio.run(send())


def letter_of(name: str, offset: int, value: bytes) -> ImageQuarantined:
    record = Record("segmented", 0, offset, b"k", value, (("ce_id", b"7"),))
    return letter(name, failed=failed_record(record))


@pytest.mark.services
def test_a_record_too_large_for_its_letter_is_sent_whole_as_it_stands_in_the_log(watson, cluster):
    large = b"a" * 449_999 + b"b" * 500_000
    as_sent(watson, b"small", large)
    watson.write(changed(JOB), letter_of("a", 0, b"small"), letter_of("b", 1, large))
    assert watson("dead-letters", "retry", "--job", JOB).out == "sent 2 again\n"
    again = cluster.records("segmented")[2:]
    assert sorted(record.value for record in again) == sorted([b"small", large])
    (sent,) = [record for record in again if record.value == large]
    assert (sent.key, sent.headers) == (b"k", (("ce_id", b"7"), ("redrive", b"retry"), ("first-offset", b"1")))


@pytest.mark.services
def test_a_record_that_cannot_be_had_whole_is_named_and_the_others_are_sent(watson, cluster):
    large = b"a" * 600_000
    as_sent(watson, b"another", large, b"a" * 1_010_000)
    watson.write(
        changed(JOB),
        letter_of("a", 0, large),
        letter_of("b", 1, large),
        letter_of("c", 2, b"a" * 1_010_000),
        letter_of("d", 7, large),
        letter("e", failed=failed(None, topic="segmented", cut=True)),
    )
    done = watson("dead-letters", "retry", "--job", JOB)
    assert (done.code, done.out) == (2, "sent 1 again\n")
    assert "4 could not be sent: " in done.err
    assert "segmented[0]@0 was cut for its dead letter, and another record stands there now" in done.err
    assert "segmented[0]@7 was cut for its dead letter, and is no longer in the log" in done.err
    assert "segmented[0]@2 has 1010007 bytes, more than the 1000000 that can be sent" in done.err
    assert "its offset is not known" in done.err
    assert [record.value for record in cluster.records("segmented")[3:]] == [large]
