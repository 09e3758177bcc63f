"""Reads `{"requests": [...]}` while it comes in, one element after the other: the whole would not fit into memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.errors import BodyTooLarge, MalformedJson

_HEAD = re.compile(rb'\s*\{\s*"requests"\s*:\s*\[')
_GAP = re.compile(rb"\s*(,?)\s*")
_TAIL = re.compile(rb"\s*\]\s*\}\s*")
_NEXT = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'(?:[^"\\]+|\\.)*+', re.DOTALL)  # of a string, as far as it is there
_LONGEST_BETWEEN = 65_536  # white space before, between and behind the elements


class RequestsReader:
    """Takes pieces of a body, gives the elements of its `requests`, each an object as it stands there.

    Raises MalformedJson, and BodyTooLarge for an element of more than `most_bytes`.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = b""  # not looked at yet
        self._element = bytearray()
        self._depth = 0  # within an element
        self._in_string = False
        self._has_begun = False
        self._has_ended = False
        self._count = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The elements that are complete with this piece. Take them all before the next one."""
        self._rest += piece
        while self._rest:
            if self._depth:
                if (element := self._go_on()) is None:
                    return
                yield element
            elif not self._find_next():
                if len(self._rest) > _LONGEST_BETWEEN:
                    raise self._malformed()
                return

    def end(self) -> None:
        """The body has ended. Raises MalformedJson if it is not complete."""
        if not self._has_ended:
            raise self._malformed()

    def _find_next(self) -> bool:
        """Move to the beginning of an element; False: more is needed, or the array has ended."""
        if not self._has_begun:
            if (head := _HEAD.match(self._rest)) is None:
                return False
            self._has_begun, self._rest = True, self._rest[head.end() :]
        if self._has_ended:
            if self._rest.strip():
                raise self._malformed()
            return False
        if (tail := _TAIL.match(self._rest)) is not None:
            self._has_ended, self._rest = True, self._rest[tail.end() :]
            return bool(self._rest)
        gap = _GAP.match(self._rest)
        assert gap is not None
        start = gap.end()
        if start == len(self._rest) or self._rest[start] == ord("]"):
            return False  # the end is not complete, or something is wrong with it, which `end` will say
        if self._rest[start] != ord("{") or bool(gap.group(1)) != bool(self._count):
            raise self._malformed()
        self._count += 1
        self._depth, self._rest = 1, self._rest[start + 1 :]
        self._element += b"{"
        return True

    def _go_on(self) -> bytes | None:
        """Read on in an element: all of it when it ends here, None when more is needed."""
        data, at = self._rest, 0
        while at < len(data) and self._depth:
            if self._in_string:
                inside = _INSIDE.match(data, at)
                assert inside is not None
                at = inside.end()
                if at == len(data) or data[at] != ord('"'):
                    break
                self._in_string, at = False, at + 1
            elif (found := _NEXT.search(data, at)) is None:
                at = len(data)
            else:
                at = found.end()
                if found[0] == b'"':
                    self._in_string = True
                else:
                    self._depth += 1 if found[0] in b"{[" else -1
        self._element += data[:at]
        self._rest = data[at:]
        if len(self._element) > self._most_bytes:
            raise BodyTooLarge(f"requests[{self._count - 1}] is larger than {self._most_bytes} bytes.")
        if self._depth:
            return None
        element = bytes(self._element)
        self._element.clear()
        return element

    def _malformed(self) -> MalformedJson:
        if not self._has_begun:
            return MalformedJson('The body must be a JSON object with the member "requests" and no other.')
        return MalformedJson(f"The body is not valid JSON after {self._count} of its requests.")
