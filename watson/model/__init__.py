"""Models: arrays in, masks out. The only package that imports torch; knows nothing of Kafka, S3 or Cassandra."""
