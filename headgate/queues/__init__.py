"""Queues: messages between processes through SQL, Redis, RabbitMQ, Kafka and SQS, each behind the port `Queue`."""
