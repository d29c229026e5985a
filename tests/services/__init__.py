"""The real servers that the tests run on: Kafka, Cassandra and an S3 server, without Docker.

`make services` keeps one set running for a developer; without it the fixtures in `tests/conftest.py` start what a
test asks for and stop it at the end. Downloads and data stay in the ignored folder `.services/`.
"""

from tests.services.cassandra import Cassandra, CassandraEndpoint
from tests.services.kafka import Kafka, KafkaEndpoint
from tests.services.s3 import S3, S3Endpoint, make_bucket
from tests.services.service import Service

__all__ = ["S3", "Cassandra", "CassandraEndpoint", "Kafka", "KafkaEndpoint", "S3Endpoint", "Service", "make_bucket"]
