"""Where documents come from: a folder of files, or JSONL with a document on each line. One after the other, never all
at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headgate.document_errors import DocumentBroken, DocumentMissing
from headgate.documents.reading import MAX_BYTES, SUFFIXES, checked, text_of, too_large
from headgate.errors import HeadgateError, InvalidRequest, MissingExtra
from headgate.types import Frozen

JSONL = frozenset({".jsonl", ".ndjson"})
_NAMES = ("name", "id", "title")
_MOST_NAME = 200


class Document(Frozen, frozen=True, gc=False):
    """A document, or what is wrong with it. Names are unique within a source."""

    name: str
    text: str = ""
    error_code: str = ""
    error: str = ""


def documents(source: Path, text_field: str = "text") -> Iterator[Document]:
    """Those of a folder in the order of their paths, of a JSONL file in that of its lines, or a single file. Files of
    kinds that headgate does not read are passed over: see `passed_over`. Raises InvalidRequest if there is nothing to
    read at all, and MissingExtra."""
    if source.is_dir():
        return _of_folder(source)
    if source.suffix.lower() in JSONL:
        return _of_lines(source, text_field)
    return iter([_of_file(source, source.name)])


def passed_over(source: Path) -> Counter[str]:
    """Of a folder: how many files are of kinds that headgate does not read, by the endings of their names."""
    files = _files(source) if source.is_dir() else []
    return Counter(path.suffix for path in files if not _is_read(path))


def _files(folder: Path) -> list[Path]:
    """In order. Hidden files and folders are none of ours."""
    found = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.parts)]


def _is_read(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or path.suffix.lower() in JSONL


def _of_folder(folder: Path) -> Iterator[Document]:
    shown = list(filter(_is_read, _files(folder)))
    if not shown:
        raise InvalidRequest(f"There are no documents in '{folder}': text, Markdown, HTML, PDF or JSONL.")
    for path in shown:
        if path.suffix.lower() in JSONL:
            for document in _of_lines(folder / path, "text"):
                yield msgspec.structs.replace(document, name=f"{path}:{document.name}")
        else:
            yield _of_file(folder / path, str(path))


def _of_file(path: Path, name: str) -> Document:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise too_large(name, size)
        return Document(_name(name), text_of(name, path.read_bytes()))
    except OSError as error:
        return _bad(name, DocumentMissing(f"'{name}' cannot be read: {error.strerror or error}."))
    except MissingExtra:
        raise
    except HeadgateError as error:
        return _bad(name, error)


def _of_lines(path: Path, text_field: str) -> Iterator[Document]:
    """A line is an object with the text in the field of that name, and perhaps a name, or just a string."""
    with path.open("rb") as file:
        number, seen = 0, set[str]()
        while line := file.readline(MAX_BYTES + 1):
            number += 1
            place, is_cut = f"line {number}", len(line) > MAX_BYTES and not line.endswith(b"\n")
            size = len(line)
            while is_cut and (rest := file.readline(MAX_BYTES)):
                size += len(rest)
                is_cut = not rest.endswith(b"\n")
            if size > MAX_BYTES:
                yield _bad(place, too_large(place, size))
            elif line.strip():
                document = document_of_line(line, place, text_field)
                if document.name in seen:
                    document = msgspec.structs.replace(document, name=f"{document.name} ({place})"[:_MOST_NAME])
                seen.add(document.name)
                yield document


def document_of_line(line: bytes, place: str, text_field: str = "text") -> Document:
    """A line of JSONL: an object with the text in that field and perhaps a name, or just a string. `place` is what it
    is called otherwise."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _bad(place, DocumentBroken(f"{place} is not valid JSON: {error}."))
    name, text = place, value
    if isinstance(value, dict):
        text = value.get(text_field)
        name = next((str(value[key]) for key in _NAMES if value.get(key)), place)
    if not isinstance(text, str):
        return _bad(name, DocumentBroken(f"{place} has no text in the field '{text_field}'."))
    try:
        return Document(_name(name), checked(name, text))
    except HeadgateError as error:
        return _bad(name, error)


def _bad(name: str, error: HeadgateError) -> Document:
    return Document(_name(name), error_code=error.code, error=error.message)


def _name(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name)[:_MOST_NAME]
