import io

import boto3
import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.line import Line


@pytest.fixture
def s3_client(s3):
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )
    yield client
    client.close()


def picture(number: int, size: int = 96) -> bytes:
    """A small JPEG, different for each number: a bright disc on a dark, noisy ground."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:size, :size]
    centre = random.integers(size // 3, 2 * size // 3, 2)
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (size // 5) ** 2
    pixels = random.integers(0, 40, (size, size, 3))
    pixels[disc] = random.integers(200, 255, 3)
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


BROKEN = {
    "broken/empty.jpg": b"",
    "broken/text.jpg": b"this is no picture",
    "broken/truncated.jpg": picture(1)[:900],
}


@pytest.fixture
def environment(kafka, cassandra, s3, topic_prefix, keyspace, bucket):
    return {
        "WATSON_BROKERS": kafka.brokers,
        "WATSON_TOPIC_PREFIX": topic_prefix,
        "WATSON_PARTITIONS": "4",
        "WATSON_CATALOGUE": f"cassandra://{cassandra.host}:{cassandra.port}/{keyspace}",
        "WATSON_OBJECTS": f"s3://{bucket}/watson",
        "WATSON_S3_ENDPOINT": s3.endpoint,
        "WATSON_S3_ACCESS_KEY": s3.access_key,
        "WATSON_S3_SECRET_KEY": s3.secret_key,
        "WATSON_S3_REGION": s3.region,
        "WATSON_TORCH_THREADS": "1",
        "WATSON_ATTEMPTS": "4",
    }


@pytest.fixture
def line(environment, tmp_path):
    with Line(environment, tmp_path) as made:
        yield made


@pytest.fixture
def upload(s3_client, bucket):
    """Put `number` pictures and the broken ones under photographs/; returns the URIs of the good and of the broken."""

    def put(number: int) -> tuple[set[str], set[str]]:
        good = {f"photographs/{n // 50}/{n:04}.jpg": picture(n) for n in range(number)}
        broken = {f"photographs/{key}": data for key, data in BROKEN.items()}
        for key, data in (good | broken).items():
            s3_client.put_object(Bucket=bucket, Key=key, Body=data)
        return {f"s3://{bucket}/{key}" for key in good}, {f"s3://{bucket}/{key}" for key in broken}

    return put
