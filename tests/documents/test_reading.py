"""Documents of every kind, and those that cannot be read: each says what is wrong with it, and the others go on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from headgate.document_errors import DocumentMissing
from headgate.documents.reading import MAX_BYTES, text_of
from headgate.documents.sources import documents, passed_over
from headgate.errors import HeadgateError, InvalidRequest
from tests.documents.samples import HTML, pdf


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", "Grüße\u2028an alle".encode(), "Grüße\u2028an alle"),
        ("a.md", b"\xef\xbb\xbf# Head", "# Head"),
        ("README", b"plain", "plain"),
        ("a.txt", "wide".encode("utf-16"), "wide"),
        ("a.html", HTML, "Head\n\nFirst bold words.\n\nSecond & last."),
        ("a.HTM", b'<meta charset="latin-1"><p>caf\xe9', "caf\u00e9"),
        ("a.pdf", pdf("Page one", "Page two"), "Page one\n\nPage two"),
        ("no-suffix", pdf("Found by its first bytes"), "Found by its first bytes"),
    ],
)
def test_the_text_of_a_document(name: str, content: bytes, text: str) -> None:
    assert text_of(name, content) == text


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"", "document_empty"),
        ("a.txt", b" \n ", "document_empty"),
        ("a.html", b"<p> </p>", "document_empty"),
        ("a.pdf", pdf(""), "document_empty"),
        ("a.txt", b"\x00\x01\x02\x03" * 50, "document_binary"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\x00", "document_binary"),
        ("a.txt", b"caf\xe9", "document_undecodable"),
        ("a.html", b'<meta charset="klingon"><p>x', "document_undecodable"),
        ("a.pdf", pdf("secret", password="x"), "document_encrypted"),
        ("a.pdf", b"%PDF-1.7 and no more", "document_broken"),
        ("a.pdf", pdf("Page one")[:-200], "document_broken"),
        ("a.txt", b"x" * (MAX_BYTES + 1), "document_too_large"),
    ],
)
def test_what_cannot_be_read_has_a_name(name: str, content: bytes, code: str) -> None:
    try:
        text = text_of(name, content)
    except HeadgateError as error:
        assert error.code == code and name in error.message and error.status in (400, 413)
    else:
        pytest.fail(f"read as {text[:50]!r}")


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.md").write_text("two")
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "photo.jpg").write_bytes(b"not looked at")
    (tmp_path / ".hidden").write_text("x")
    with (tmp_path / "huge.txt").open("wb") as file:
        os.truncate(file.fileno(), 200_000_000)
    (tmp_path / "lines.jsonl").write_text('{"text": "three"}\n')
    found = list(documents(tmp_path))
    assert [(each.name, each.text, each.error_code) for each in found] == [
        ("a.txt", "one", ""), ("b/two.md", "two", ""), ("c.txt", "", "document_empty"),
        ("huge.txt", "", "document_too_large"), ("lines.jsonl:line 1", "three", ""),
    ]  # fmt: skip


def test_what_a_folder_has_that_is_not_read_can_be_told(tmp_path: Path) -> None:
    for name in ("one.txt", "two.docx", "three.docx", "four.PNG", ".hidden.exe"):
        (tmp_path / name).write_text("words")
    assert passed_over(tmp_path) == {".docx": 2, ".PNG": 1}
    assert not passed_over(tmp_path / "one.txt")


def test_a_folder_without_documents(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no documents"):
        list(documents(tmp_path))


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (found,) = documents(tmp_path / "gone.txt")
    assert found.error_code == DocumentMissing.code


def test_jsonl(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": "x/1", "text": "one\u2028line"}, ensure_ascii=False), json.dumps("two"), "", "{broken",
        json.dumps({"id": "x/1", "text": "again"}), json.dumps({"text": ""}), json.dumps({"other": 1}),
        json.dumps([1]), "[" * 3000,
    ]  # fmt: skip
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    found = list(documents(tmp_path / "d.jsonl"))
    assert [(each.name, each.text or each.error_code) for each in found] == [
        ("x/1", "one\u2028line"), ("line 2", "two"), ("line 4", "document_broken"), ("x/1 (line 5)", "again"),
        ("line 6", "document_empty"), ("line 7", "document_broken"), ("line 8", "document_broken"),
        ("line 9", "document_broken"),
    ]  # fmt: skip
    assert next(documents(tmp_path / "d.jsonl", "id")).text == "x/1"


def test_an_enormous_line_is_passed_over_without_being_held(tmp_path: Path) -> None:
    with (tmp_path / "d.jsonl").open("wb") as file:
        file.write(b'{"text": "one"}\n')
        file.seek(200_000_000, os.SEEK_CUR)
        file.write(b'\n{"text": "two"}\n')
    found = list(documents(tmp_path / "d.jsonl"))
    assert [each.text or each.error_code for each in found] == ["one", "document_too_large", "two"]
