"""Finding what is no text in prompts of every dialect."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import msgspec
import pytest

from headgate.media import Media, MediaKind
from headgate.types import Call, Route
from headgate.wire.media import MOST_PARSED_BYTES, MOST_PARTS, may_have_media, read_prompt
from headgate.wire.picture_size import picture_size


def png(width: int, height: int, filler: int = 2000) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        + struct.pack(">II", width, height)
        + b"\x08\x06"
        + bytes(range(256)) * (filler // 256)
    )


def jpeg(width: int, height: int, thumbnail: int = 0) -> bytes:
    before = b"\xff\xe1" + struct.pack(">H", thumbnail + 2) + b"x" * thumbnail if thumbnail else b""
    return b"\xff\xd8" + before + b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + b"\x03" * 900


def webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + body


PDF = b"%PDF-1.4\n<< /Type /Pages /Count 3 >>" + b"<< /Type /Page /Parent 2 0 R >>\n" * 3 + b"stream" * 200


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def call(route: Route, messages: Any) -> Call:
    name = "input" if route is Route.RESPONSES else "messages"
    fields = {"model": msgspec.Raw(b'"m"'), name: msgspec.Raw(json.dumps(messages).encode())}
    return Call(id="req_1", route=route, model="m", stream=False, fields=fields, body_bytes=0)


def media(route: Route, *parts: Any) -> tuple[Media, ...]:
    asked = call(route, [{"role": "user", "content": [{"type": "text", "text": "Look."}, *parts]}])
    assert may_have_media(asked)
    return read_prompt(asked).media


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (png(800, 600), (800, 600)),
        (jpeg(1920, 1080), (1920, 1080)),
        (b"GIF89a" + struct.pack("<HH", 64, 32), (64, 32)),
        (webp(b"VP8X", b"\0\0\0\0" + (99).to_bytes(3, "little") + (49).to_bytes(3, "little")), (100, 50)),
        (webp(b"VP8L", b"\x2f" + struct.pack("<I", 99 | 49 << 14)), (100, 50)),
        (webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 100, 50)), (100, 50)),
        (png(800, 600)[:18], (0, 0)),
        (b"\xff\xd8\xff", (0, 0)),
        (b"\xff\xd8\xff\xe1\0\0", (0, 0)),
        (webp(b"VP8X", b""), (0, 0)),
        (b"", (0, 0)),
        (b"BM", (0, 0)),
    ],
)
def test_sizes_of_pictures(head: bytes, size: tuple[int, int]) -> None:
    assert picture_size(head) == size


def test_pictures_of_each_dialect() -> None:
    data = encoded(png(800, 600))
    url = f"data:image/png;base64,{data}"
    size = len(data) * 3 // 4
    found = Media(MediaKind.IMAGE, 800, 600, size)
    low = msgspec.structs.replace(found, low_detail=True)
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert media(Route.CHAT, {"type": "image_url", "image_url": {"url": url}}) == (found,)
    assert media(Route.CHAT, {"type": "image_url", "image_url": url}) == (found,)
    assert media(Route.CHAT, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}) == (low,)
    assert media(Route.RESPONSES, {"type": "input_image", "image_url": url, "detail": "low"}) == (low,)
    assert media(Route.MESSAGES, {"type": "image", "source": source}) == (found,)
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": source}]}
    assert media(Route.MESSAGES, result, {"type": "image", "source": source}) == (found, found)


def test_what_is_somewhere_else() -> None:
    assert media(Route.CHAT, {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}) == (
        Media(MediaKind.IMAGE),
    )
    assert media(Route.RESPONSES, {"type": "input_image", "file_id": "file_1"}) == (Media(MediaKind.IMAGE),)
    assert media(Route.RESPONSES, {"type": "input_file", "file_url": "https://a.test/b.pdf"}) == (
        Media(MediaKind.DOCUMENT),
    )
    by_parts = {"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.test/b"}}]}
    assert media(Route.MESSAGES, {"type": "document", "source": by_parts}) == (Media(MediaKind.IMAGE),)
    by_id = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    assert media(Route.MESSAGES, by_id) == (Media(MediaKind.DOCUMENT),)


def test_documents() -> None:
    data = encoded(PDF)
    found = Media(MediaKind.DOCUMENT, size_bytes=len(data) * 3 // 4, pages=3)
    url = f"data:application/pdf;base64,{data}"
    assert media(Route.CHAT, {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}}) == (found,)
    assert media(Route.RESPONSES, {"type": "input_file", "file_data": url}) == (found,)
    assert media(Route.MESSAGES, {"type": "document", "source": {"type": "base64", "data": data}}) == (found,)
    assert media(Route.CHAT, {"type": "document_url", "document_url": url}) == (found,)
    packed = encoded(b"%PDF-1.5 /Type /ObjStm" + b"z" * 40_000)
    (one,) = media(Route.MESSAGES, {"type": "document", "source": {"type": "base64", "data": packed}})
    assert one.pages == 4
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "all of it " * 100}}
    assert media(Route.MESSAGES, text) == ()


def test_sound_and_thoughts() -> None:
    sound = encoded(b"RIFF\0\0\0\0WAVE" + b"s" * 3000)
    (found,) = media(Route.CHAT, {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}})
    assert found == Media(MediaKind.AUDIO, size_bytes=len(sound) * 3 // 4)
    sealed = "gAAA" * 1000
    asked = call(Route.RESPONSES, [{"type": "reasoning", "summary": [], "encrypted_content": sealed}])
    assert read_prompt(asked).media == (Media(MediaKind.SEALED, size_bytes=4000),)
    assert media(Route.MESSAGES, {"type": "thinking", "thinking": "so", "signature": sealed})[0].size_bytes == 4000


def test_a_jpeg_with_a_long_thumbnail() -> None:
    data = encoded(jpeg(4000, 3000, thumbnail=60_000))
    (found,) = media(Route.MESSAGES, {"type": "image", "source": {"type": "base64", "data": data}})
    assert (found.width, found.height) == (4000, 3000)


def test_base64_of_media_is_no_text() -> None:
    data = encoded(png(800, 600, filler=400_000))
    asked = call(
        Route.MESSAGES, [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": data}}]}]
    )
    assert len(read_prompt(asked).text) < 200


def test_the_same_string_elsewhere_is_text() -> None:
    """A tool's argument may be called data: what it holds is read by the model letter by letter."""
    data = encoded(png(800, 600, filler=40_000))
    content = [
        {"type": "tool_use", "id": "t", "name": "send", "input": {"data": data}},
        {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
    ]
    prompt = read_prompt(call(Route.MESSAGES, [{"role": "user", "content": content}]))
    assert prompt.media == (Media(MediaKind.IMAGE),)
    assert len(prompt.text) > len(data)


@pytest.mark.parametrize(
    ("route", "content"),
    [
        (Route.CHAT, "an image_url, a file and a source"),
        (Route.MESSAGES, [{"type": "text", "text": 'the "source" of it'}]),
        (Route.RESPONSES, [{"type": "input_text", "text": "no input_image"}]),
        (Route.EMBEDDINGS, "image"),
    ],
)
def test_most_prompts_need_no_parsing(route: Route, content: Any) -> None:
    assert not may_have_media(call(route, [{"role": "user", "content": content}]))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": None},
        {"type": "image_url", "image_url": 3},
        {"type": "file"},
        {"type": "file", "file": []},
        {"type": "image", "source": "?"},
        {"type": "image", "source": {"type": "base64", "data": "not base64 " * 100}},
        {"type": "input_audio", "input_audio": {"data": None}},
        {"type": ["image_url"], "content": [[[[[[1]]]]]]},
        {"content": json.loads("[" * 900 + "]" * 900)},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,@7@"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "@0@"}},
    ],
)
def test_odd_shapes_never_fail(part: Any) -> None:
    for route in (Route.CHAT, Route.MESSAGES, Route.RESPONSES):
        assert read_prompt(call(route, [{"content": [part, {"type": "x", "image_url": "y"}]}])).text


def test_what_is_no_json_stays_text() -> None:
    raw = msgspec.Raw(b'[{"source": "data": "' + b"A" * 3000 + b'"]')
    asked = Call(id="r", route=Route.MESSAGES, model="m", stream=False, fields={"messages": raw}, body_bytes=0)
    assert read_prompt(asked).text == bytes(raw)


def test_a_text_too_long_to_be_parsed() -> None:
    """An agent's prompt of 600 kB with screenshots; what garbage of that length costs would be felt by all others."""
    data = encoded(png(800, 600, filler=40_000))
    parts = [{"type": "image", "source": {"type": "base64", "data": data}}] * 3
    parts.append({"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}})
    long = {"type": "text", "text": "The gate decides. " * (MOST_PARSED_BYTES // 16)}
    prompt = read_prompt(call(Route.MESSAGES, [{"role": "user", "content": [long, *parts]}]))
    assert prompt.media[:3] == (Media(MediaKind.IMAGE, 800, 600, len(data) * 3 // 4),) * 3
    assert Media(MediaKind.IMAGE) in prompt.media
    assert len(prompt.text) < MOST_PARSED_BYTES * 1.2


def test_more_parts_than_any_prompt_has() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}}
    content = [picture, *[{"type": "text", "text": "a"}] * MOST_PARTS, picture]
    prompt = read_prompt(call(Route.MESSAGES, [{"role": "user", "content": content}]))
    assert prompt.media == (Media(MediaKind.IMAGE), Media(MediaKind.IMAGE))
