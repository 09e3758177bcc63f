"""Writes the parts of messages as Gemini's, and collects what has no place there."""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire.gemini.thinking import generation
from headgate.wire.neutral import (
    Audio,
    File,
    Image,
    Leftover,
    Opaque,
    Refusal,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from headgate.wire.neutral import Part as NeutralPart

DIALECT = "gemini"
SIGNED_GENERATION = 3  # from here on a call without a signature is refused
# What Google tells those to send who bring a call that no Gemini has made, or have lost its signature:
# https://ai.google.dev/gemini-api/docs/thought-signatures
NO_SIGNATURE = "skip_thought_signature_validator"

_MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown",
    "csv": "text/csv", "html": "text/html", "json": "application/json", "mp4": "video/mp4", "mov": "video/mov",
    "webm": "video/webm", "mp3": "audio/mp3", "wav": "audio/wav",
}  # fmt: skip
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Blob(msgspec.Struct, rename="camel"):
    mime_type: str
    data: str


class FileData(msgspec.Struct, rename="camel", omit_defaults=True):
    file_uri: str
    mime_type: str = ""


class FunctionCall(msgspec.Struct, omit_defaults=True):
    name: str
    args: msgspec.Raw
    id: str = ""


class FunctionResponse(msgspec.Struct, omit_defaults=True):
    name: str
    response: msgspec.Raw | dict[str, msgspec.Raw | str]
    id: str = ""
    parts: list[Part] = []


class Part(msgspec.Struct, rename="camel", omit_defaults=True):
    """One piece of content: exactly one of the members but the last two."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought: bool = False
    thought_signature: str = ""


AnyPart = Part | msgspec.Raw


class PartWriter:
    """Writes the parts of one request, in the order in which they were said: results know their calls by it."""

    def __init__(self, target: Target) -> None:
        self.leftovers: list[Leftover] = []
        self._target = target
        self._generation = generation(target.model)
        self._names: dict[str, str] = {}  # of the functions, by call id

    def left_over(self, place: str, *, is_hint: bool = False) -> None:
        """Remember a member of the caller's body that is not carried over."""
        self.leftovers.append(Leftover(place, is_hint))

    def write(self, part: NeutralPart, place: str, parts: list[AnyPart]) -> None:
        """Append what a part is to Gemini. `place` is the caller's name for it, as in "messages[1].content[0]".

        Raises InvalidRequest for the result of a call that was not made.
        """
        match part:
            case Text(text=text) | Refusal(text=text):
                _say(parts, text)
                if getattr(part, "citations", ()):
                    self.left_over(f"{place}.citations", is_hint=True)
            case Thinking():
                self._thought(part, place, parts)
            case ToolCall():
                parts.append(self._call(part, place, is_first=not any(map(_is_call, parts))))
            case ToolResult():
                parts += self._result(part, place)
            case Opaque(dialect="gemini", raw=raw):
                parts.append(msgspec.Raw(raw))
            case Opaque():
                self.left_over(place)
            case Image() | File() | Audio():
                if (medium := self._medium(part, place)) is not None:
                    parts.append(medium)
        if getattr(part, "cache", ""):  # Gemini caches by itself
            self.left_over(f"{place}.cache_control", is_hint=True)

    def _medium(self, part: Image | File | Audio, place: str) -> Part | None:
        """What is shown or heard; None, and a leftover, for what Gemini cannot be given."""
        if isinstance(part, Image) and part.detail not in ("", "auto"):
            self.left_over(f"{place}.detail", is_hint=True)
        if isinstance(part, File) and part.name:
            self.left_over(f"{place}.filename", is_hint=True)
        if isinstance(part, File) and part.text:
            return Part(text=part.text)
        cannot_see = isinstance(part, Image) and self._target.images is False
        if part.data and not cannot_see:
            return Part(inline_data=Blob(_media_type(part), part.data))
        if not isinstance(part, Audio) and part.url and not cannot_see:
            return Part(file_data=FileData(part.url, _media_type(part)))
        self.left_over(place)
        return None

    def _thought(self, part: Thinking, place: str, parts: list[AnyPart]) -> None:
        """Its own thoughts go back to Gemini, and those that nobody has signed."""
        is_own = part.origin == DIALECT
        if part.redacted or not (is_own or (not part.origin and not part.signature)):
            self.left_over(place, is_hint=True)
        elif part.text:
            parts.append(Part(text=part.text, thought=True, thought_signature=part.signature))
        elif part.signature:
            _sign(parts, part.signature)

    def _call(self, part: ToolCall, place: str, *, is_first: bool) -> Part:
        self._names[part.id] = part.name
        arguments = part.arguments if part.arguments.strip() else "{}"
        if not _is_object(arguments):
            self.left_over(f"{place}.arguments")  # Gemini takes nothing but a JSON object
            arguments = "{}"
        signature = part.signature if part.origin == DIALECT else ""
        if part.signature and not signature:
            self.left_over(f"{place}.signature", is_hint=True)
        if not signature and is_first and self._generation >= SIGNED_GENERATION:
            signature = NO_SIGNATURE
        call = FunctionCall(part.name, msgspec.Raw(arguments.encode()), part.id)
        return Part(function_call=call, thought_signature=signature)

    def _result(self, result: ToolResult, place: str) -> list[AnyPart]:
        """Text is the response; pictures belong to it since the third generation, and follow it before."""
        name = self._names.get(result.call_id) or result.name
        if not name:
            raise InvalidRequest(f"No earlier tool call has the id '{result.call_id[:100]}'.", param=place)
        texts: list[str] = []
        media: list[Part] = []
        for position, part in enumerate(result.parts):
            if isinstance(part, Text):
                texts.append(part.text)
            elif (medium := self._medium(part, f"{place}.content[{position}]")) is not None:
                texts += [medium.text] if medium.text is not None else []
                media += [medium] if medium.text is None else []
        written = FunctionResponse(name, _response("\n".join(texts), is_error=result.is_error), result.call_id)
        if self._generation >= SIGNED_GENERATION:
            written.parts = media
            return [Part(function_response=written)]
        return [Part(function_response=written), *media]


def _say(parts: list[AnyPart], text: str) -> None:
    """Gemini refuses an empty part, and it says nothing. Before a text a signature alone is the text's: chat clients
    send back what was thought before what was said, whichever came first."""
    last = parts[-1] if parts else None
    if isinstance(last, Part) and last.text == "" and text:
        last.text = text
    elif text:
        parts.append(Part(text=text))


def _sign(parts: list[AnyPart], signature: str) -> None:
    """A signature without a thought belongs to the text or picture before it; without one it stands alone."""
    last = parts[-1] if parts else None
    if isinstance(last, Part) and not last.thought_signature and not last.thought and last.function_call is None:
        last.thought_signature = signature
    else:
        parts.append(Part(text="", thought_signature=signature))


def _response(text: str, *, is_error: bool) -> msgspec.Raw | dict[str, msgspec.Raw | str]:
    """The JSON object Gemini wants: what is one is passed as it is, anything else under the names Google suggests."""
    said = msgspec.Raw(text.encode()) if text.lstrip().startswith("{") and _is_object(text) else None
    if is_error:
        return {"error": text if said is None else said}
    return {"result": text} if said is None else said


def _is_object(text: str) -> bool:
    try:
        _object.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_call(part: AnyPart) -> bool:
    return isinstance(part, Part) and part.function_call is not None


def _media_type(part: Image | File | Audio) -> str:
    """As told, or as the name or URL ends; a file of data is most often a PDF, which no API insists to be told."""
    if isinstance(part, Audio):
        return f"audio/{part.format}"
    name = part.name if isinstance(part, File) else ""
    told = part.media_type or _MEDIA_TYPES.get(_ending(name)) or _MEDIA_TYPES.get(_ending(part.url.partition("?")[0]))
    if told or not part.data:
        return told or ""
    return "image/png" if isinstance(part, Image) else "application/pdf"


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()
