"""A queue in a Kafka topic."""
