"""Models: arrays in, masks out; knows nothing of Kafka, S3 or Cassandra. Imports torch, as `watson.training` does."""
