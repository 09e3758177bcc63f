"""A queue in Redis Streams."""
