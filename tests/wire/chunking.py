"""Cutting bytes into pieces as a network does: anywhere."""

from __future__ import annotations

import random

from hypothesis import strategies as st


def cut(data: bytes, chance: random.Random, *, pieces: int) -> list[bytes]:
    """The data in at most so many pieces."""
    places = sorted(chance.randrange(len(data) + 1) for _ in range(pieces - 1))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@st.composite
def cuts(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """A stream, and the same in pieces."""
    data = draw(streams)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return data, [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
