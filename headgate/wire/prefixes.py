"""The beginnings of a prompt that a provider may cache: tools, then the system prompt, then the messages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_POINTS = 2


class _Turn(msgspec.Struct):
    role: str = ""


_turn = msgspec.json.Decoder(_Turn)


def size_bytes(*members: msgspec.Raw) -> int:
    """How long some JSON is."""
    return sum([memoryview(member).nbytes for member in members])


def points_in_history(turns: Sequence[msgspec.Raw], before_bytes: int, least_bytes: int) -> list[int]:
    """Behind which messages the points stand: the user's newest, so that the next turn can read up to there, and his
    last before that, which the turn before has written. Of messages of his in a row that is the last.

    `before_bytes` are the tools and the system prompt. Raises ValueError or RecursionError for what are no messages.
    """
    found: list[int] = []
    follower = ""
    for index in reversed(range(len(turns))):
        role = _turn.decode(turns[index]).role
        if role == "user" and follower != "user":
            found.append(index)
            if len(found) == _POINTS:
                break
        follower = role
    return [index for index in found if before_bytes + size_bytes(*turns[: index + 1]) >= least_bytes]
