"""Characters that a provider cut in two."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.surrogates import Mender, mend


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"a\ud83d"', rb'"a\ufffd"'),
        (rb'"\ude00b"', rb'"\ufffdb"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\ud83d \" \n \u00e9"', rb'"\\ud83d \" \n \u00e9"'),
    ],
)
def test_a_whole_document(broken: bytes, mended: bytes) -> None:
    assert mend(broken) == mended


@given(st.text(), st.data())
def test_a_text_cut_anywhere_comes_together(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    places = sorted(data.draw(st.lists(st.integers(0, len(units) // 2), max_size=5)))
    pieces = [
        units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")
        for start, end in zip([0, *places], [*places, len(units) // 2], strict=True)
    ]
    mender = Mender()
    heard = "".join(json.loads(mender.mend(json.dumps(piece).encode())) for piece in pieces)
    assert heard == text
