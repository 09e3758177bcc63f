"""The shapes of content that answers and streams share, and what they mean."""

from __future__ import annotations

import msgspec

from headgate.wire.neutral import Citation, Image, Opaque

DIALECT = "converse"
ORIGIN = "bedrock"
ABSENT = msgspec.Raw(b"null")
SERVER_TOOL = "server_tool_use"  # the type of a tool call that the provider itself carries out
_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


class View(msgspec.Struct, rename="camel"):
    """Base of the shapes: members are written in camel case, and unknown ones do not matter."""


class _Said(View):
    text: str | None = None


class _WebLocation(View):
    url: str | None = None


class _Location(View):
    web: _WebLocation | None = None


class CitationView(View):
    """What a statement rests on."""

    title: str | None = None
    source: str | None = None
    source_content: list[_Said] | None = None
    location: _Location | None = None

    def value(self) -> Citation:
        """The neutral form. Places are those in the source, not in the answer, so that there are no offsets."""
        web = self.location.web if self.location else None
        cited = "".join(said.text or "" for said in self.source_content or ())
        return Citation(url=(web.url if web else None) or self.source or "", title=self.title or "", cited_text=cited)


class BytesSource(View):
    """Where the bytes of an image or a sound are."""

    bytes: str | None = None


class ImageView(View):
    """An image that a model made."""

    format: str | None = None
    source: BytesSource | None = None

    def value(self) -> Image:
        """The neutral form."""
        kind = self.format or ""
        media_type = _MEDIA_TYPES.get(kind, f"image/{kind}" if kind else "")
        return Image(media_type=media_type, data=(self.source.bytes if self.source else None) or "")


class _StopDelta(View, rename=None):
    stop_sequence: str | None = None


class _Stopped(_StopDelta, rename=None):
    delta: _StopDelta | None = None


_stopped = msgspec.json.Decoder(_Stopped | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def opaque(raw: bytes) -> Opaque:
    """A block that has no neutral form: kept as it is, and named by its first member."""
    return Opaque(DIALECT, next(iter(_members.decode(raw)), ""), bytes(raw))


def read_stop_sequence(fields: bytes) -> str:
    """The sequence a model met, from `additionalModelResponseFields`: at its top in answers, in `delta` in streams."""
    try:
        view = _stopped.decode(fields)
    except msgspec.ValidationError:
        return ""  # other models' own fields, of any shape
    if view is None:
        return ""
    return view.stop_sequence or (view.delta.stop_sequence if view.delta else None) or ""
