"""The parts of a caller's prompt that are no text: images, documents, sound, video, thoughts that only
their provider can read. For an estimate, so nothing raises.

A picture of 5 MB is one string of base64. It is cut out before anything is parsed, by looking for its first and its
last character, so that what is left to parse is as long as the text of the prompt. What was cut is looked up again only
from a place where a provider takes media: the same string anywhere else is text, and is counted as such.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import msgspec

from headgate.media import Media, MediaKind
from headgate.types import Call, Route
from headgate.wire.picture_size import picture_size
from headgate.wire.prompts import PROMPT_MEMBERS

_MARKS = {  # one of these is in every prompt with media, or with thoughts that only their provider can read
    Route.CHAT: (b'_url"', b'"file"', b'"input_audio"'),
    Route.RESPONSES: (
        b'"input_image"',
        b'"input_file"',
        b'"encrypted_content"',
        b'"computer_screenshot"',
        b'"image_generation_call"',
    ),
    Route.MESSAGES: (b'"source"', b'"signature"'),
    Route.COUNT_TOKENS: (b'"source"', b'"signature"'),
}
# Media are objects in a list, other than the list of messages. In a string a quote has a backslash before it.
_PARTS = re.compile(rb'\[\s*\{\s*"')
_CUT_BYTES = 512  # shorter strings are left where they are
# What base64 begins after: a word, and for members of an object what comes between it and the string.
_OPENINGS = (
    (b";base64,", re.compile(b"")),
    (b'data"', re.compile(rb'\s*:\s*"')),
    (b'"encrypted_content"', re.compile(rb'\s*:\s*"')),
    (b'"signature"', re.compile(rb'\s*:\s*"')),
    (b'"result"', re.compile(rb'\s*:\s*"')),
)
_SEALED = {  # parts that hold thoughts, and the member that does
    "reasoning": "encrypted_content",
    "compaction": "encrypted_content",
    "thinking": "signature",
    "redacted_thinking": "data",
}
_PLACE = re.compile(r"@(\d{1,7})@")

_HEAD_BYTES = 3072  # where the size of a picture usually is
_LONG_HEAD_BYTES = 196_608  # where that of a JPEG with a thumbnail is, and what is read of a document
_PAGE = re.compile(rb"/Type\s*/Page(?![s\w])")
_BYTES_PER_HIDDEN_PAGE = 8192  # of documents whose list of pages is compressed
MOST_PARSED_BYTES = 450_000  # of text: garbage of that length takes 10 ms to parse, a prompt 1 ms
MOST_PARTS = 5000  # of messages and parts together; no prompt has so many that is no garbage
_MOST_OPENINGS = 4000  # no provider takes so many media; what is left counts as text
_DEEPEST = 4  # a message, a tool's result in it, a document in that, its parts


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """The member of a body that a model answers: its JSON without the media, and these."""

    text: bytes
    media: tuple[Media, ...]


def may_have_media(call: Call) -> bool:
    """Whether a prompt has to be parsed to know: 0.3 us for texts alone, for parts 3 us for 2 kB, 0.5 ms for 400 kB."""
    marks = _MARKS.get(call.route)
    if marks is None:
        return False
    raw = bytes(call.fields.get(PROMPT_MEMBERS[call.route], b""))
    second = raw.find(b"[", 1)  # faster than the pattern, and mostly there is none
    if second < 0 or not _PARTS.search(raw, second):
        return False
    return any(mark in raw for mark in marks)


def read_prompt(call: Call) -> Prompt:
    """The prompt of a call, taken apart. What cannot be read as media is left in the text.

    A text too long, or of too many parts, would keep the event loop waiting. Then every string that was cut out is
    taken for what its first bytes say, and every mark of media for one whose size is not known.
    """
    raw = bytes(call.fields.get(PROMPT_MEMBERS[call.route], b""))
    text, cut = _cut(raw)
    if len(text) > MOST_PARSED_BYTES:
        return Prompt(text, tuple(_unparsed(call.route, text, cut)))
    try:
        value: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Prompt(raw, ())
    reader = _Reader(cut)
    media = tuple(reader.media(value, 0))
    if reader.parts > MOST_PARTS:
        return Prompt(text, tuple(_unparsed(call.route, text, cut)))
    left = [data for place, data in enumerate(cut) if place not in reader.used]
    return Prompt(b"".join([text, *left]), media)


def _unparsed(route: Route, text: bytes, cut: list[bytes]) -> Iterator[Media]:
    reader = _Reader(cut)
    for number in range(len(cut)):
        yield reader.of(MediaKind.IMAGE, f"@{number}@")
    pictures = sum(text.count(mark) for mark in _MARKS[route])
    yield from [Media(MediaKind.IMAGE)] * max(0, pictures - len(cut))


def _cut(raw: bytes) -> tuple[bytes, list[bytes]]:
    """The JSON with a mark in the place of every long base64 string, and those strings."""
    cut: list[bytes] = []
    for word, between in _OPENINGS:
        pieces, done = [], 0
        for found in _openings(word, between, raw):
            end = raw.find(b'"', found)
            if end - found >= _CUT_BYTES and raw[end - 1] != 0x5C:
                pieces += [raw[done:found], b"@%d@" % len(cut)]
                cut.append(raw[found:end])
                done = end
        if pieces:
            raw = b"".join([*pieces, raw[done:]])
    return raw, cut


def _openings(word: bytes, between: re.Pattern[bytes], raw: bytes) -> Iterator[int]:
    """Where the strings begin. Jumps over each: a regular expression would read all of it."""
    at = raw.find(word)
    for _ in range(_MOST_OPENINGS):
        if at < 0:
            return
        at += len(word)
        if found := between.match(raw, at):
            yield found.end()
            end = raw.find(b'"', found.end())
            at = end if end >= 0 else len(raw)
        at = raw.find(word, at)


class _Reader:
    """Walks the decoded messages of any dialect. `used` are the cut strings that belong to media."""

    def __init__(self, cut: list[bytes]) -> None:
        self._cut = cut
        self.used: set[int] = set()
        self.parts = 0

    def media(self, value: object, depth: int) -> Iterator[Media]:
        """Of a message, a list of messages or parts, or a part."""
        if isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    yield from self.media(one, depth)
        elif isinstance(value, dict) and depth < _DEEPEST and self.parts <= MOST_PARTS:
            self.parts += 1
            found = self._part(value)
            if found is not None:
                yield found
            inner = _member(value.get("source"), "content")  # of a document that is given in parts
            for below in (value.get("content"), value.get("output"), inner):
                yield from self.media(below, depth + 1)

    def _part(self, part: dict[str, object]) -> Media | None:
        """Media, by the member that holds it: each has one name in every dialect."""
        kind = str(part.get("type"))
        if kind in ("image_url", "input_image", "computer_screenshot") or part.get("image_url"):
            return self._image(part)
        source = part.get("source")
        if isinstance(source, dict) and kind in ("image", "document"):
            return self._source(source, MediaKind.IMAGE if kind == "image" else MediaKind.DOCUMENT)
        if kind == "file":
            return self._file(part.get("file"))
        if kind == "input_file":
            return self._file(part)
        if kind == "document_url":
            return self.of(MediaKind.DOCUMENT, part.get("document_url"))
        if kind == "video_url":
            return self.of(MediaKind.VIDEO, _member(part.get("video_url"), "url"))
        if kind == "input_audio":
            return self.of(MediaKind.AUDIO, _member(part.get("input_audio"), "data"))
        if kind == "image_generation_call":
            return self.of(MediaKind.IMAGE, part.get("result"))
        return self._sealed(part.get(_SEALED[kind])) if kind in _SEALED else None

    def _image(self, part: dict[str, object]) -> Media:
        image = part.get("image_url")
        detail = image.get("detail") if isinstance(image, dict) else part.get("detail")
        found = self.of(MediaKind.IMAGE, _member(image, "url"))
        return msgspec.structs.replace(found, low_detail=detail == "low")

    def _source(self, source: dict[str, object], kind: MediaKind) -> Media | None:
        if source.get("type") in ("text", "content"):
            return None  # its text is in the JSON, its parts are walked to
        return self.of(kind, source.get("data"))

    def _file(self, file: object) -> Media:
        return self.of(MediaKind.DOCUMENT, _member(file, "file_data"))

    def _sealed(self, data: object) -> Media | None:
        """Thoughts, if they are long enough to have been cut out; else they are counted as text."""
        if not isinstance(data, str) or not _PLACE.fullmatch(data):
            return None
        return Media(MediaKind.SEALED, size_bytes=len(self._base64(data)))

    def of(self, kind: MediaKind, data: object) -> Media:
        """By what the string holds, whatever it says it is; nothing is known of what is somewhere else."""
        found = self._base64(data) if isinstance(data, str) else b""
        if not found:
            return Media(kind)
        size = len(found) * 3 // 4
        head = _decoded(found, _HEAD_BYTES)
        if head.startswith(b"%PDF"):
            return Media(MediaKind.DOCUMENT, size_bytes=size, pages=_pages(found, size))
        width, height = picture_size(head)
        if not width and head.startswith(b"\xff\xd8"):
            width, height = picture_size(_decoded(found, _LONG_HEAD_BYTES))
        return Media(MediaKind.IMAGE if width else kind, width, height, size)

    def _base64(self, data: str) -> bytes:
        """The base64 of a string or data URL; empty for any other URL or id."""
        scheme, comma, rest = data.partition(";base64,")
        if comma:
            data = rest
        elif "://" in scheme[:16]:
            return b""
        if place := _PLACE.fullmatch(data):
            number = int(place[1])
            if number < len(self._cut):
                self.used.add(number)
                return self._cut[number]
        return data.encode(errors="replace")


def _member(value: object, name: str) -> object:
    """A member of an object, or the value itself where a dialect has it without one."""
    return value.get(name) if isinstance(value, dict) else value


def _decoded(data: bytes, size: int) -> bytes:
    """The first bytes of base64, in either alphabet; empty if it is none."""
    start = data[: size * 4 // 3].replace(b"\\/", b"/")
    start = start[: len(start) // 4 * 4]
    try:
        return base64.b64decode(start.translate(_STANDARD_ALPHABET))
    except ValueError:
        return b""


_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")


def _pages(data: bytes, size: int) -> int:
    """Pages of a PDF: those its start names, as many more as it is longer; by its length where their list is packed."""
    start = _decoded(data, _LONG_HEAD_BYTES)
    longer = max(1.0, size / max(1, len(start)))
    pages = round(len(_PAGE.findall(start)) * longer)
    return max(1, pages, size // _BYTES_PER_HIDDEN_PAGE if b"/ObjStm" in start or not pages else 0)
