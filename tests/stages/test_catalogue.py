"""The job's rules decide which masks enter the dataset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from watson import __version__
from watson.events import (
    ImageCatalogued,
    ImageSegmented,
    JobOptions,
    MaskSummary,
    Normalised,
    Original,
    Rules,
    image_key,
    mask_id,
    segmentation_id,
)
from watson.stages.catalogue import CatalogueStage, lets_through

SHA = "a" * 64
KEY = image_key("s3://bucket/cat.jpg")
SEGMENTATION = segmentation_id(KEY, SHA, "1-1024", "m@1")
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def mask(index: int = 0, **changes: Any) -> MaskSummary:
    wanted: dict[str, Any] = {"category_id": 7, "category": "cat", "score": 0.5, "area": 100, "box": (1, 2, 10, 10)}
    return MaskSummary(index=index, **(wanted | changes))


def segmented(masks: list[MaskSummary], rules: Rules) -> ImageSegmented:
    return ImageSegmented(
        time=WHEN,
        job="job",
        image_key=KEY,
        dataset="cats",
        original=Original(uri="s3://bucket/cat.jpg", sha256=SHA, width=200, height=400, format="JPEG"),
        normalised=Normalised(object="preprocessed/1-1024/x.jpg", sha256=SHA, width=50, height=100, version="1-1024"),
        model="m@1",
        weights_sha256="b" * 64,
        segmentation_id=SEGMENTATION,
        masks_object=f"masks/{SEGMENTATION}.json.gz",
        masks_sha256="c" * 64,
        masks=tuple(masks),
        options=JobOptions(rules=rules),
    )


@pytest.mark.parametrize(
    ("rules", "one", "wanted"),
    [
        ({"least_score": 0.5}, {"score": 0.5}, True),
        ({"least_score": 0.5}, {"score": 0.4999}, False),
        ({"least_area": 0.02}, {"area": 100}, True),  # of 5000 pixels
        ({"least_area": 0.02}, {"area": 99}, False),
        ({"least_area": 0}, {"area": 1}, True),
        ({"least_area": 0, "least_score": 0}, {"area": 0, "score": 0}, False),
        ({"categories": ["cat"]}, {}, True),
        ({"categories": ["dog", "CAT"]}, {}, True),
        ({"categories": ["dog"]}, {}, False),
        ({"categories": ["ca"]}, {}, False),
        ({"categories": []}, {}, False),
        ({}, {}, True),
    ],
)
def test_a_rule_lets_a_mask_through_or_not(rules: dict[str, Any], one: dict[str, Any], wanted: bool) -> None:
    assert lets_through(Rules(**rules), mask(**one), pixels=5000) is wanted


async def test_accepted_masks_keep_their_index_and_get_an_id_of_it() -> None:
    event = segmented([mask(0), mask(1, score=0.01), mask(2)], Rules(least_score=0.1))
    said = await CatalogueStage().handle(event)
    assert [(one.index, one.mask_id) for one in said.masks] == [(n, mask_id(SEGMENTATION, n)) for n in (0, 2)]
    assert said.rejected == 1


async def test_an_image_whose_masks_were_all_rejected_is_catalogued_with_none() -> None:
    said = await CatalogueStage().handle(segmented([mask(0), mask(1)], Rules(least_score=1)))
    assert (said.masks, said.rejected) == ((), 2)


async def test_provenance_is_carried_over() -> None:
    event = segmented([mask()], Rules())
    said = await CatalogueStage().handle(event)
    same = ImageCatalogued.model_fields.keys() & ImageSegmented.model_fields.keys() - {"time", "masks"}
    assert {name: getattr(said, name) for name in same} == {name: getattr(event, name) for name in same}
    assert len(same) == 10
    assert said.code_version == __version__
    assert said.segmented_at == WHEN


async def test_the_same_event_gives_the_same_outcome_but_for_its_time() -> None:
    event = segmented([mask(0), mask(1)], Rules())
    stage = CatalogueStage()
    first, second = [await stage.handle(event) for _ in range(2)]
    assert first.id == second.id
    assert first.model_dump(exclude={"time"}) == second.model_dump(exclude={"time"})
