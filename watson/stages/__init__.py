"""Stages: pure functions from one event to one event. Imports neither Faust nor Kafka."""
