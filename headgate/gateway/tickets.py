"""What a request has to do with answers that are there already: the cache's, and those of its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.cache_types import CachedAnswer, ExactRules, Question
from headgate.gateway.flights import Flight

if TYPE_CHECKING:  # what is off is not loaded
    from headgate.gateway.semantic_memory import Asked


class Inputs:
    """The inputs of one request, and what is kept of them."""

    __slots__ = ("asked", "found", "keys", "private_keys", "texts")

    def __init__(self, texts: list[bytes], keys: list[bytes], private_keys: list[bytes]) -> None:
        self.texts = texts  # as JSON
        self.keys = keys
        self.private_keys = private_keys  # of vectors that are for their user alone; empty if there are none
        self.found: dict[int, CachedAnswer] = {}
        self.asked = list(range(len(texts)))  # of which a provider is asked


class Ticket:
    """What a request has to do with the cache, once it was looked for there."""

    __slots__ = ("asked", "flight", "inputs", "leads", "private_key", "question", "rules", "ttl_seconds")

    def __init__(self, question: Question, rules: ExactRules, ttl_seconds: float) -> None:
        self.question = question
        self.rules = rules
        self.ttl_seconds = ttl_seconds  # how long its answer may be kept
        self.private_key = b""  # of an answer that is for its user alone, if there can be such
        self.flight: Flight | None = None  # that it leads or follows
        self.leads = False
        self.inputs: Inputs | None = None  # of a request for embeddings, each of which is kept by itself
        self.asked: Asked | None = None  # what was found by its meaning

    @property
    def flight_key(self) -> bytes:
        """Who asks the same for the same people."""
        return self.private_key or self.question.key


class KeyedTicket:
    """What a request has to do with its idempotency key. Digests of 32 bytes."""

    __slots__ = ("content", "flight", "is_asking", "is_finished", "key", "leads")

    def __init__(self, key: bytes, content: bytes) -> None:
        self.key = key
        self.content = content
        self.flight: Flight | None = None  # that it leads or follows
        self.leads = False
        self.is_asking = False  # the store is asked for the key, and may have given it
        self.is_finished = False  # its result is kept
