"""The oracle finds each kind of error, and nothing where nothing is wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import Evidence, LogRecord
from tests.chaos.flawless import flawless
from tests.chaos.oracle import judge
from tests.chaos.pictures import Sources
from tests.services.places import ROOT

Made = tuple[Sources, Evidence]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("flawless")
    result = flawless(folder)
    shutil.rmtree(folder)
    return result


def kinds(made: Made, evidence: Evidence) -> set[str]:
    return {finding.kind for finding in judge(made[0].jobs, made[0].originals, evidence)}


def test_nothing_is_found_where_nothing_is_wrong(made: Made) -> None:
    assert kinds(made, made[1]) == set()


def test_the_oracle_uses_none_of_watsons_code() -> None:
    program = "import sys, tests.chaos.oracle; print([name for name in sys.modules if name.startswith('watson')])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_repeated_records_are_allowed(made: Made) -> None:
    evidence = deepcopy(made[1])
    repeats = [replace(record, offset=record.offset + 10_000) for record in evidence.log]
    assert kinds(made, replace(evidence, log=evidence.log + repeats)) == set()


# ------------------------------------------------------------------ planting


def first(evidence: Evidence, topic: str, job: str = "bucket") -> int:
    return next(n for n, r in enumerate(evidence.log) if r.topic == topic and r.event["job"] == job)


def altered(record: LogRecord, **members: Any) -> LogRecord:
    return replace(record, value=json.dumps({**record.event, **members}).encode())


def drop(topic: str) -> Callable[[Evidence], None]:
    """The first record of a topic is gone."""

    def plant(evidence: Evidence) -> None:
        del evidence.log[first(evidence, topic)]

    return plant


def drop_row(table: str) -> Callable[[Evidence], None]:
    def plant(evidence: Evidence) -> None:
        del evidence.rows[table][0]

    return plant


def change(topic: str, **members: Any) -> Callable[[Evidence], None]:
    """The first record of a topic says something else."""

    def plant(evidence: Evidence) -> None:
        place = first(evidence, topic)
        evidence.log[place] = altered(evidence.log[place], **members)

    return plant


def say_twice(topic: str, **members: Any) -> Callable[[Evidence], None]:
    """A record is repeated, with the same id, and says something else."""

    def plant(evidence: Evidence) -> None:
        record = evidence.log[first(evidence, topic)]
        evidence.log.append(replace(altered(record, **members), offset=len(evidence.log)))

    return plant


def quarantine_a_catalogued_one(evidence: Evidence) -> None:
    good, bad = evidence.log[first(evidence, "catalogued")].event, evidence.log[first(evidence, "dead-letters")]
    uri, key = good["original"]["uri"], good["image_key"]
    evidence.log.append(replace(altered(bad, uri=uri, image_key=key), offset=len(evidence.log)))


def catalogue_a_broken_one(evidence: Evidence) -> None:
    place = first(evidence, "dead-letters")
    bad, good = evidence.log[place].event, evidence.log[first(evidence, "catalogued")]
    original = {**good.event["original"], "uri": bad["uri"]}
    evidence.log[place] = replace(altered(good, original=original, image_key=bad["image_key"]), offset=place)


def share_a_mask_id(evidence: Evidence) -> None:
    one, two = [n for n, r in enumerate(evidence.log) if r.topic == "catalogued"][:2]
    masks = evidence.log[two].event["masks"]
    masks[0]["mask_id"] = evidence.log[one].event["masks"][0]["mask_id"]
    evidence.log[two] = altered(evidence.log[two], masks=masks)


def lose_an_object(evidence: Evidence) -> None:
    evidence.objects[next(key for key in evidence.objects if key.startswith("masks/"))] = None


def alter_an_object(evidence: Evidence) -> None:
    evidence.objects[next(key for key in evidence.objects if key.startswith("preprocessed/"))] = b"altered"


def rewrite_masks(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Evidence], None]:
    """Other masks in the object, with the event's hash made to fit."""

    def plant(evidence: Evidence) -> None:
        place = first(evidence, "catalogued")
        key = evidence.log[place].event["masks_object"]
        file = json.loads(gzip.decompress(evidence.objects[key] or b""))
        change(file["masks"])
        data = gzip.compress(json.dumps(file).encode())
        evidence.objects[key] = data
        evidence.log[place] = altered(evidence.log[place], masks_sha256=hashlib.sha256(data).hexdigest())

    return plant


def swap_pixels(masks: list[dict[str, Any]]) -> None:
    masks[0]["rle"], masks[-1]["rle"] = masks[-1]["rle"], masks[0]["rle"]


def alter_a_letter(evidence: Evidence) -> None:
    place = first(evidence, "dead-letters")
    failed = evidence.log[place].event["failed"]
    evidence.log[place] = altered(evidence.log[place], failed={**failed, "value": failed["value"][4:]})


def miscount(evidence: Evidence) -> None:
    evidence.rows["job_counts"][1]["count"] += 1


def a_row_too_many(table: str, **members: Any) -> Callable[[Evidence], None]:
    def plant(evidence: Evidence) -> None:
        evidence.rows[table].append({**evidence.rows[table][0], **members})

    return plant


def alter_a_row(evidence: Evidence) -> None:
    row = evidence.rows["images"][0]
    row["event"] = row["event"].replace('"time": "2026', '"time": "2025')


def resolve_a_letter(evidence: Evidence) -> None:
    evidence.rows["dead_letters"][0]["resolved"] = True


def second_of_two_jobs(**members: Any) -> Callable[[Evidence], None]:
    """What the second job says of a picture that it shares with the first is something else; its row says so too."""

    def plant(evidence: Evidence) -> None:
        shared = {r.event["image_key"] for r in evidence.of("catalogued") if r.event["job"] == "bucket"}
        place = next(
            place
            for place, record in enumerate(evidence.log)
            if (record.topic, record.event["job"]) == ("catalogued", "list") and record.event["image_key"] in shared
        )
        before = evidence.log[place].event
        changed = {name: {**before[name], **value} for name, value in members.items()}
        evidence.log[place] = altered(evidence.log[place], **changed)
        for row in evidence.rows["images"]:
            if row["job"] == "list" and str(row["image_key"]) == before["image_key"]:
                row["event"] = json.dumps({"version": 1, "data": evidence.log[place].event})
        evidence.objects.setdefault("preprocessed/nowhere.png")

    return plant


def change_rows(table: str, **members: Any) -> Callable[[Evidence], None]:
    """A column of all rows, by which they are read, is another than their event says."""

    def plant(evidence: Evidence) -> None:
        for row in evidence.rows[table]:
            row.update(members)

    return plant


def hold_anothers_record(evidence: Evidence) -> None:
    """A letter holds what failed of another picture, byte for byte; its row says the same."""
    one, other = [place for place, record in enumerate(evidence.log) if record.topic == "dead-letters"][:2]
    before = evidence.log[one].event
    evidence.log[one] = altered(evidence.log[one], failed=evidence.log[other].event["failed"])
    for row in evidence.rows["dead_letters"]:
        if json.loads(row["event"])["data"] == before:
            row["event"] = json.dumps({"version": 1, "data": evidence.log[one].event})


PLANTED: list[tuple[Callable[[Evidence], None], str]] = [
    (drop("image-discovered"), "not-discovered"),
    (drop("catalogued"), "missing"),
    (drop("dead-letters"), "missing"),
    (drop("preprocessed"), "stage-missing"),
    (drop("segmented"), "stage-missing"),
    (change("catalogued", job="nobody"), "stranger"),
    (change("image-discovered", original={"uri": "s3://bucket/photographs/else.png"}), "stranger"),
    (change("image-discovered", index=999), "index-wrong"),
    (change("dead-letters", reason="vanished"), "wrong-reason"),
    (quarantine_a_catalogued_one, "both"),
    (catalogue_a_broken_one, "wrong-end"),
    (say_twice("segmented", model="another"), "contradiction"),
    (share_a_mask_id, "mask-twice"),
    (alter_a_letter, "letter-altered"),
    (hold_anothers_record, "letter-of-another"),
    (change("jobs", state="draining"), "job-state"),
    (change("jobs", listed=1), "job-state"),
    (drop("jobs"), "job-state"),
    (lose_an_object, "object-missing"),
    (alter_an_object, "object-altered"),
    (second_of_two_jobs(normalised={"object": "preprocessed/nowhere.png", "sha256": "0" * 64}), "object-missing"),
    (second_of_two_jobs(normalised={"sha256": "0" * 64}), "object-altered"),
    (second_of_two_jobs(original={"sha256": "1" * 64}), "picture-wrong"),
    (rewrite_masks(swap_pixels), "masks-wrong"),
    (rewrite_masks(lambda masks: masks.pop() and None), "masks-wrong"),
    (rewrite_masks(lambda masks: masks[0].update(score=0.5)), "masks-wrong"),
    (change("catalogued", masks=[]), "masks-wrong"),
    (drop_row("images"), "row-missing"),
    (a_row_too_many("images"), "row-twice"),
    (a_row_too_many("images", image_key="another"), "row-stranger"),
    (alter_a_row, "row-differs"),
    (drop_row("masks"), "mask-rows-differ"),
    (a_row_too_many("masks"), "mask-rows-differ"),
    (change_rows("masks", category="elsewhere"), "mask-row-misplaced"),
    (change_rows("masks", mask_index=99), "mask-row-misplaced"),
    (drop_row("dead_letters"), "letter-row-missing"),
    (drop_row("dead_letters_by_reason"), "letter-row-missing"),
    (a_row_too_many("dead_letters", id="another"), "letter-row-stranger"),
    (a_row_too_many("dead_letters_by_reason", id="another"), "letter-index-stranger"),
    (a_row_too_many("dead_letters_by_reason", reason="vanished"), "letter-index-stranger"),
    (resolve_a_letter, "letter-row-differs"),
    (miscount, "count-wrong"),
    (drop_row("job_counts"), "count-wrong"),
    (drop_row("jobs"), "job-row-differs"),
]


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_planted_error_is_found(made: Made, plant: Callable[[Evidence], None], kind: str) -> None:
    evidence = deepcopy(made[1])
    plant(evidence)
    assert kind in kinds(made, evidence)


def test_a_letter_whose_reason_changed_may_leave_its_old_entry_in_the_index(made: Made) -> None:
    """As the schema says: readers look whether the letter still says so."""
    evidence = deepcopy(made[1])
    place = first(evidence, "dead-letters", "folder")
    record = evidence.log[place]
    others = sorted(
        {reason for job in made[0].jobs for end in job.ends.values() for reason in end} - {record.event["reason"]}
    )
    earlier = altered(record, reason=others[0], time="2026-03-14T11:00:00Z")
    evidence.log.append(replace(earlier, offset=len(evidence.log)))
    entry = next(r for r in evidence.rows["dead_letters_by_reason"] if str(r["id"]) == record.header("ce_id"))
    evidence.rows["dead_letters_by_reason"].append({**entry, "reason": others[0]})
    assert kinds(made, evidence) == {"wrong-reason"}, "the earlier letter itself was wrong, and nothing else is"


def test_an_original_that_was_read_wrongly_is_found(made: Made) -> None:
    uri = next(record.event["original"]["uri"] for record in made[1].of("catalogued"))
    other = next(data for name, data in made[0].originals.items() if name != uri and data[:2] == b"\x89P")
    assert "picture-wrong" in {f.kind for f in judge(made[0].jobs, {**made[0].originals, uri: other}, made[1])}


def in_event_and_row(change: Callable[[dict[str, Any]], object]) -> Callable[[Evidence], None]:
    """What was catalogued is wrong in the log and in its rows alike: they agree, and both are wrong."""

    def plant(evidence: Evidence) -> None:
        place = first(evidence, "catalogued")
        before = evidence.log[place].event
        after = deepcopy(before)
        change(after)
        evidence.log[place] = altered(evidence.log[place], **after)
        for row in evidence.rows["images"]:
            if json.loads(row["event"])["data"] == before:
                row["event"] = json.dumps({"version": 1, "data": after})
        for row in evidence.rows["masks"]:
            if (row["job"], str(row["image_key"])) == (before["job"], before["image_key"]):
                (mask,) = [mask for mask in after["masks"] if mask["index"] == row["mask_index"]]
                row["mask"] = json.dumps(mask)

    return plant


def in_another(column: str, *tables: str) -> Callable[[Evidence], None]:
    """Rows lie where no reader looks for them."""

    def plant(evidence: Evidence) -> None:
        for table in tables:
            for row in evidence.rows[table]:
                row[column] = 999

    return plant


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (in_event_and_row(lambda event: event["masks"][0].update(score=0.123)), "masks-wrong"),
        (in_event_and_row(lambda event: event["masks"][0].update(box=[0, 0, 0, 0])), "masks-wrong"),
        (in_event_and_row(lambda event: event.update(dataset="another")), "settings-wrong"),
        (in_event_and_row(lambda event: event.update(model="another@1")), "settings-wrong"),
        (in_event_and_row(lambda event: event.update(model="test-threshold@another")), "settings-wrong"),
        (in_event_and_row(lambda event: event["original"].update(width=1)), "picture-wrong"),
        (in_event_and_row(lambda event: event["normalised"].update(height=1)), "picture-wrong"),
        (in_another("bucket", "images"), "row-misplaced"),
        (in_another("bucket", "masks"), "row-misplaced"),
        (in_another("bucket", "dead_letters"), "row-misplaced"),
        (in_another("bucket", "dead_letters_by_reason"), "row-misplaced"),
        (in_another("shard", "jobs"), "row-misplaced"),
    ],
)
def test_what_is_wrong_everywhere_alike_is_found(made: Made, plant: Callable[[Evidence], None], kind: str) -> None:
    evidence = deepcopy(made[1])
    plant(evidence)
    assert kind in kinds(made, evidence)
