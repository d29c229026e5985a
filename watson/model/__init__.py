"""Models: arrays in, masks out. Imports torch, as `watson.training` alone does besides; knows nothing of Kafka, S3 or Cassandra."""
