"""Forms with a file in them, as `multipart/form-data` (RFC 7578), read while they come in."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from headgate.errors import InvalidRequest

LONGEST_FIELD_BYTES = 4096
MOST_FIELDS = 32
LONGEST_HEADER_BYTES = 8192


class FileBegins(msgspec.Struct, frozen=True):
    """A part that is a file, under the name that its sender gives it."""

    field: str
    filename: str


class FileData(msgspec.Struct, frozen=True):
    """More of the file that began last."""

    data: bytes


class FormReader:
    """Takes pieces of a body; gives what they have of the file, and keeps the other fields in `fields`."""

    def __init__(self, content_type: str) -> None:
        """Raises InvalidRequest."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidRequest("Send the file as multipart/form-data with a boundary.", param="content-type")
        self.fields: dict[str, str] = {}
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError as error:
            raise InvalidRequest(
                f"The form has no boundary of the usual kind: {error}.", param="content-type"
            ) from None
        self._found: list[FileBegins | FileData] = []
        self._name, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._field = ""
        self._text: bytes | None = None  # of a part that is no file
        self._has_ended = False

    def feed(self, piece: bytes) -> Iterator[FileBegins | FileData]:
        """What the piece has of files. Raises InvalidRequest."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidRequest(f"The form is not valid multipart/form-data: {error}.") from None
        found, self._found = self._found, []
        return iter(found)

    def end(self) -> None:
        """The body has ended. Raises InvalidRequest if the form has not."""
        if not self._has_ended:
            raise InvalidRequest("The form is not complete: its last boundary is missing.")

    # --- what the parser calls ---

    def _part_begins(self) -> None:
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._bound(self._name, LONGEST_HEADER_BYTES)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound(self._value, LONGEST_HEADER_BYTES)

    def _header_ends(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode(errors="replace")
        filename = options.get(b"filename")
        if filename is None:
            self._text = b""
            return
        self._text = None
        self._found.append(FileBegins(self._field, filename.decode(errors="replace")))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            self._found.append(FileData(data[start:end]))
            return
        self._text += data[start:end]
        self._bound(self._text, LONGEST_FIELD_BYTES)

    def _part_ends(self) -> None:
        if self._text is not None:
            self.fields[self._field] = self._text.decode(errors="replace")
        if len(self.fields) > MOST_FIELDS:
            raise InvalidRequest(f"The form has more than {MOST_FIELDS} fields.")

    def _form_ends(self) -> None:
        self._has_ended = True

    def _bound(self, data: bytes, most: int) -> None:
        if len(data) > most:
            raise InvalidRequest(f"A field of the form, or a header of it, is longer than {most} bytes.")
