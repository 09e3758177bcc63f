"""Which tests one process runs when several do (`-n`): those that share a server or a gateway, so that it starts once.

pytest-xdist has the mark `xdist_group` for this, which it loses in silence with pytest 9.2; and what is shared is
known from the test's name and file alone.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
SERVERS = ("rabbitmq", "sqs")  # that take seconds to start, and are in the names of the tests that need them
# What else takes time to start, by what names it in a file.
SHARED = {
    'xdist_group("rabbitmq")': "rabbitmq",
    "replay: Replay": "replay",
    "from tests.source import": "source",  # not a server: all of the source, parsed
}
# A test or a fixture that takes one of those that `tests/e2e/conftest.py` starts, or its client.
ASKS_FOR_A_GATEWAY = re.compile(
    r"(def test_\w+|@pytest\.fixture[^\n]*\ndef \w+)"
    r"\([^)]*\b((strict_|finishing_)?gateway: Gateway|client: openai\.OpenAI)"
)


def group_of(test: str) -> str:
    """Of a test's id; the id itself when it may run anywhere."""
    file, _, name = test.partition("::")
    for server in SERVERS:
        if server in name:
            return server
    return _group_of_file(file) or test


@functools.cache
def _group_of_file(file: str) -> str:
    text = (ROOT / file).read_text()
    if file.startswith("tests/e2e/") and ASKS_FOR_A_GATEWAY.search(text):
        return "gateways of e2e"
    for name, group in SHARED.items():
        if name in text:
            return group
    if 'fixture(scope="module"' in text:
        return file
    return "gateway of hostile" if file.startswith("tests/hostile/") and "gateway: Gateway" in text else ""


class Scheduling(LoadScopeScheduling):
    """Groups first, the largest at the head; then one test at a time to whoever is free, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
