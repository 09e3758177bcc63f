"""Forms that come in pieces: it does not matter where these end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import InvalidRequest
from headgate.jobs.uploads import FileBegins, FileData, FormReader

EDGE = b"--edge"


def form(content: bytes, purpose: str) -> bytes:
    return b"\r\n".join(
        [
            EDGE,
            b'Content-Disposition: form-data; name="purpose"',
            b"",
            purpose.encode(),
            EDGE,
            b'Content-Disposition: form-data; name="file"; filename="n\xc3\xa4me.jsonl"',
            b"Content-Type: application/octet-stream",
            b"",
            content,
            EDGE + b"--",
            b"",
        ]
    )


CONTENT = st.lists(st.sampled_from([b"\r\n", b"--edge", b"\r\n--edg", b"--", b"x", b"\0\xff"]), max_size=12).map(
    b"".join
)


@given(CONTENT.filter(lambda content: b"\r\n--edge" not in content), st.integers(1, 40))
def test_the_file_is_what_was_sent(content: bytes, size: int) -> None:
    if content.startswith(b"--edge"):
        return  # at the beginning of a part it would be its end
    body, reader = form(content, "batch"), FormReader('multipart/form-data; boundary="edge"')
    found = [each for start in range(0, len(body), size) for each in reader.feed(body[start : start + size])]
    reader.end()
    assert [each for each in found if isinstance(each, FileBegins)] == [FileBegins("file", "näme.jsonl")]
    assert b"".join(each.data for each in found if isinstance(each, FileData)) == content
    assert reader.fields == {"purpose": "batch"}


@pytest.mark.parametrize("cut", [1, 20, 60, 120, 200])
def test_a_form_without_its_end_is_refused(cut: int) -> None:
    reader = FormReader("multipart/form-data; boundary=edge")
    list(reader.feed(form(b"x" * 100, "batch")[:cut]))
    with pytest.raises(InvalidRequest, match="not complete"):
        reader.end()


def test_a_header_without_end_is_not_collected() -> None:
    reader = FormReader("multipart/form-data; boundary=edge")
    list(reader.feed(EDGE + b"\r\nx: "))
    with pytest.raises(InvalidRequest, match="header"):
        for _ in range(100):
            list(reader.feed(b"y" * 1000))


def test_a_boundary_of_any_length_is_no_fault_of_headgates() -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        FormReader(f"multipart/form-data; boundary={'x' * 5000}")
