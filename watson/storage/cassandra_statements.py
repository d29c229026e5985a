"""Every statement that the Cassandra catalogue prepares. All are idempotent; none touches more than one partition."""

from __future__ import annotations

import zlib
from enum import StrEnum
from uuid import UUID

__all__ = ["BUCKETS", "LEVELS", "PARTS", "SHARDS", "TABLES", "Cql", "bucket_of", "level_of", "part_of", "shard_of"]

BUCKETS = 256
"""Partitions of one job in each table of images, masks and dead letters."""

SHARDS = 16
"""Partitions of the tables of jobs and models."""

LEVELS = 21
"""Of uncertainty, in twentieths, 1 alone being the last. With `PARTS`, 84 partitions of one job."""

PARTS = 4
"""Partitions of one level of a job: where a third of 9 million images are equally uncertain, 46 MB each."""

TABLES = (
    "jobs",
    "job_counts",
    "images",
    "images_by_uncertainty",
    "masks",
    "dead_letters",
    "dead_letters_by_reason",
    "models",
    "evaluations",
)


def bucket_of(key: UUID) -> int:
    """The bucket of an image or dead letter: 0–255, so that the order of buckets is the order of keys."""
    return key.bytes[0]


def level_of(uncertainty: float) -> int:
    """The level of an uncertainty in 0–1: 0–20, and never a higher one for a lesser uncertainty."""
    return int(uncertainty * (LEVELS - 1))


def part_of(key: UUID) -> int:
    """Which of a level's partitions has the image: 0–3."""
    return key.bytes[0] % PARTS


def shard_of(name: str) -> int:
    """The shard of a job or model: 0–15, for ever the same."""
    return zlib.crc32(name.encode()) % SHARDS


class Cql(StrEnum):
    """Statements by name; ``…_AFTER`` goes on behind a row, its twin begins at the beginning."""

    PUT_JOB = "UPDATE jobs USING TIMESTAMP ? SET event = ? WHERE shard = ? AND job = ?"
    PUT_SUBMITTED = "UPDATE jobs USING TIMESTAMP ? SET submitted_at = ? WHERE shard = ? AND job = ?"
    JOBS = "SELECT job, event, submitted_at FROM jobs WHERE shard = ?"
    JOB = "SELECT job, event, submitted_at FROM jobs WHERE shard = ? AND job = ?"

    PUT_COUNT = "UPDATE job_counts USING TIMESTAMP ? SET count = ? WHERE job = ? AND stage = ? AND partition = ?"
    COUNTS = "SELECT stage, sum(count) AS count FROM job_counts WHERE job = ? GROUP BY stage"

    PUT_IMAGE = "INSERT INTO images (job, bucket, image_key, revision, event) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
    DELETE_IMAGE = (
        "DELETE FROM images USING TIMESTAMP ? WHERE job = ? AND bucket = ? AND image_key = ? AND revision = ?"
    )
    IMAGE = "SELECT event FROM images WHERE job = ? AND bucket = ? AND image_key = ? LIMIT 1"
    REVISIONS = "SELECT revision FROM images WHERE job = ? AND bucket = ? AND image_key = ?"
    REVISION = (
        "SELECT event, writetime(event) AS written FROM images "
        "WHERE job = ? AND bucket = ? AND image_key = ? AND revision = ?"
    )
    # GROUP BY gives the first row of each group: the newest revision.
    IMAGES = "SELECT event FROM images WHERE job = ? AND bucket = ? GROUP BY image_key LIMIT ?"
    IMAGES_AFTER = "SELECT event FROM images WHERE job = ? AND bucket = ? AND image_key > ? GROUP BY image_key LIMIT ?"

    IMAGE_REVISION = "SELECT event, revision FROM images WHERE job = ? AND bucket = ? AND image_key = ? LIMIT 1"

    PUT_RANK = (
        "INSERT INTO images_by_uncertainty (job, level, part, uncertainty, image_key, revision) "
        "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
    )
    DELETE_RANK = (
        "DELETE FROM images_by_uncertainty USING TIMESTAMP ? "
        "WHERE job = ? AND level = ? AND part = ? AND uncertainty = ? AND image_key = ? AND revision = ?"
    )
    RANKS = (
        "SELECT uncertainty, image_key, revision FROM images_by_uncertainty "
        "WHERE job = ? AND level = ? AND part = ? LIMIT ?"
    )
    RANKS_AFTER = (
        "SELECT uncertainty, image_key, revision FROM images_by_uncertainty WHERE job = ? AND level = ? AND part = ? "
        "AND (uncertainty, image_key) < (?, ?) LIMIT ?"
    )

    PUT_MASK = (
        "INSERT INTO masks (job, bucket, category, image_key, mask_index, revision, mask) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
    )
    DELETE_MASK = (
        "DELETE FROM masks USING TIMESTAMP ? WHERE job = ? AND bucket = ? AND category = ? AND image_key = ? "
        "AND mask_index = ? AND revision = ?"
    )
    MASKS = (
        "SELECT image_key, mask FROM masks WHERE job = ? AND bucket = ? AND category = ? "
        "GROUP BY category, image_key, mask_index LIMIT ?"
    )
    MASKS_AFTER = (
        "SELECT image_key, mask FROM masks WHERE job = ? AND bucket = ? AND category = ? "
        "AND (image_key, mask_index) > (?, ?) GROUP BY category, image_key, mask_index LIMIT ?"
    )
    MASK_ROWS = "SELECT image_key, mask FROM masks WHERE job = ? AND bucket = ?"
    CATEGORIES = "SELECT category, count(*) AS count FROM masks WHERE job = ? AND bucket = ? GROUP BY category"

    PUT_LETTER = "INSERT INTO dead_letters (job, bucket, id, resolved, event) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
    PUT_LETTER_REASON = (
        "INSERT INTO dead_letters_by_reason (job, bucket, reason, id) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
    )
    LETTERS = "SELECT id, event, resolved FROM dead_letters WHERE job = ? AND bucket = ? LIMIT ?"
    LETTERS_AFTER = "SELECT id, event, resolved FROM dead_letters WHERE job = ? AND bucket = ? AND id > ? LIMIT ?"
    LETTERS_BY_ID = "SELECT id, event, resolved FROM dead_letters WHERE job = ? AND bucket = ? AND id IN ?"
    LETTER_IDS = "SELECT id FROM dead_letters_by_reason WHERE job = ? AND bucket = ? AND reason = ? LIMIT ?"
    LETTER_IDS_AFTER = (
        "SELECT id FROM dead_letters_by_reason WHERE job = ? AND bucket = ? AND reason = ? AND id > ? LIMIT ?"
    )

    PUT_MODEL = "UPDATE models USING TIMESTAMP ? SET event = ? WHERE shard = ? AND name = ? AND model_version = ?"
    MODELS = "SELECT event FROM models WHERE shard = ?"

    PUT_EVALUATION = (
        "UPDATE evaluations USING TIMESTAMP ? SET event = ? "
        "WHERE shard = ? AND name = ? AND model_version = ? AND dataset = ?"
    )
    EVALUATIONS = "SELECT event FROM evaluations WHERE shard = ?"
