"""Content parts of the Responses API, as they stand in messages and in tool results, to neutral parts and back."""

from __future__ import annotations

import base64
from typing import Literal

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire import data_url
from headgate.wire.members import read_member
from headgate.wire.neutral import Audio, File, Image, Opaque, Part, Refusal, Text
from headgate.wire.responses.annotations import Annotation, write_annotation

DIALECT = "responses"
_TEXTS = ("input_text", "output_text", "text", "summary_text")
_SUFFIXES = {"text/plain": "txt", "text/markdown": "md"}  # of the others it is the subtype: pdf, html, csv


class _Audio(msgspec.Struct):
    data: str
    format: str


class _Breakpoint(msgspec.Struct):
    ttl: str | None = None


class _Part(msgspec.Struct):
    """Any part: every kind has a few of these members."""

    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: list[Annotation] | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    input_audio: _Audio | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None

    @property
    def cache(self) -> str:
        """A mark without a lifetime asks for the usual one; half an hour and more for the longest there is."""
        mark = self.prompt_cache_breakpoint
        return "" if mark is None else "1h" if mark.ttl else "5m"


class _WrittenText(msgspec.Struct, omit_defaults=True):
    type: Literal["input_text", "output_text"]
    text: str
    annotations: tuple[msgspec.Raw, ...] = ()


class _WrittenRefusal(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


class _WrittenImage(msgspec.Struct, tag_field="type", tag="input_image"):
    image_url: str
    detail: str


class _WrittenFile(msgspec.Struct, tag_field="type", tag="input_file", omit_defaults=True):
    filename: str = ""
    file_data: str = ""
    file_url: str = ""
    file_id: str = ""


WrittenPart = _WrittenText | _WrittenRefusal | _WrittenImage | _WrittenFile

_content = msgspec.json.Decoder(str | list[msgspec.Raw])
_part = msgspec.json.Decoder(_Part)


def read_content(raw: msgspec.Raw, where: str) -> tuple[Part, ...]:
    """The content of a message or the output of a tool. Raises InvalidRequest, naming the place."""
    content = read_member(_content, raw, where)
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_read_part(part, f"{where}[{index}]") for index, part in enumerate(content))


def _read_part(raw: msgspec.Raw, where: str) -> Part:
    part = read_member(_part, raw, where)
    kind = part.type
    if kind in _TEXTS and part.text is not None:
        citations = tuple(annotation.citation() for annotation in part.annotations or ())
        return Text(part.text, citations, part.cache)
    if kind == "refusal" and part.refusal is not None:
        return Refusal(part.refusal)
    if kind == "input_image" and part.image_url:
        found = data_url.read(part.image_url)
        media_type, data = found or ("", "")
        return Image(media_type, data, "" if found else part.image_url, part.detail or "", part.cache)
    if kind == "input_file" and (part.file_data or part.file_url or part.file_id):
        return _read_file(part)
    if kind == "input_audio" and part.input_audio:
        return Audio(part.input_audio.data, part.input_audio.format)
    if kind in (*_TEXTS, "refusal", "input_audio") or (kind in ("input_image", "input_file") and not part.file_id):
        raise InvalidRequest(f"'{where}' is of type '{kind}' and lacks what it should carry.", param=where)
    return Opaque(DIALECT, kind, bytes(raw))


def _read_file(part: _Part) -> File:
    found = data_url.read(part.file_data or "")
    media_type, data = found or ("", part.file_data or "")
    return File(
        media_type=media_type,
        data=data,
        url=part.file_url or "",
        file_id=part.file_id or "",
        name=part.filename or "",
        cache=part.cache,
    )


def write_part(part: Part, *, spoken: bool) -> WrittenPart | msgspec.Raw | None:
    """A part as the API takes it, None if it has no form for it; `spoken` for what the model itself said."""
    match part:
        case Text(text=text, citations=citations):
            if not spoken:
                return _WrittenText("input_text", text)
            annotations = tuple(write_annotation(citation, len(text)) for citation in citations)
            return _WrittenText("output_text", text, annotations)
        case Refusal(text=text) if spoken:
            return _WrittenRefusal(text)
        case Image() if not spoken:
            url = part.url or data_url.write(part.media_type or "image/png", part.data)
            return _WrittenImage(url, part.detail or "auto")
        case File() if not spoken:
            return _write_file(part)
        case Opaque(dialect="responses", raw=raw):
            return msgspec.Raw(raw)
    return None


def _write_file(file: File) -> _WrittenFile:
    if file.file_id:
        return _WrittenFile(file_id=file.file_id)
    if file.url:
        return _WrittenFile(file_url=file.url)
    media_type = file.media_type or ("text/plain" if file.text else "application/pdf")
    data = file.data or base64.b64encode(file.text.encode()).decode()
    name = file.name or f"document.{_SUFFIXES.get(media_type, media_type.rpartition('/')[2])}"
    return _WrittenFile(filename=name, file_data=data_url.write(media_type, data))
