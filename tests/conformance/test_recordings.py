"""What real providers have answered reaches clients of every dialect as they meant it.

The sample is served here; `make conformance` serves a whole file of recordings and writes docs/providers.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.asking import CLIENTS, has_prompt
from tests.conformance.exceptions import reason
from tests.conformance.recordings import SAMPLE, Recording, from_golden, in_pieces, load
from tests.conformance.replay import ASKED_IN, Replay, clients
from tests.golden import exchanges

RECORDINGS = [*load(SAMPLE), *map(from_golden, exchanges.load())]
STREAMED = [in_pieces(each) for each in RECORDINGS if each.dialect == "converse" and not each.is_error]
SPOKEN = [each for each in RECORDINGS if each.dialect in CLIENTS and has_prompt(each) and not each.is_error]
ASKED = [(each, dialect) for each in SPOKEN for dialect in ASKED_IN if dialect != each.dialect]
PAIRS = [(recording, client) for recording in [*RECORDINGS, *STREAMED] for client in clients(recording)]


@pytest.fixture(scope="package")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    with Replay(tmp_path_factory.mktemp("conformance")) as replay:
        yield replay


@pytest.mark.parametrize(("recording", "client"), PAIRS, ids=[f"{pair[0].name}-to-{pair[1]}" for pair in PAIRS])
def test_a_client_gets_what_was_recorded(recording: Recording, client: str, replay: Replay) -> None:
    problems = replay.problems(recording, client)
    assert not problems or reason(recording, client), problems


@pytest.mark.parametrize(("recording", "dialect"), ASKED, ids=[f"{pair[0].name}-in-{pair[1]}" for pair in ASKED])
def test_a_provider_hears_what_was_said_or_the_caller_is_told(
    recording: Recording, dialect: str, replay: Replay
) -> None:
    lost, is_told = replay.lost(recording, dialect)
    assert not lost or is_told, lost


def test_the_sample_has_every_api_of_every_kind_of_provider() -> None:
    kinds = {(recording.provider, recording.api) for recording in RECORDINGS}
    assert {dialect for recording in RECORDINGS if (dialect := recording.dialect)} >= {
        *("chat", "responses", "messages", "gemini", "converse"),
        *("completions", "embeddings", "count_tokens", "embed_contents"),
    }
    assert len({provider for provider, _ in kinds}) >= 17
    assert all(recording.dialect for recording in RECORDINGS)
