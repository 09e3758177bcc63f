"""What pictures and files cost, against the examples that providers publish."""

from __future__ import annotations

import pytest

from headgate.media import Media, MediaKind
from headgate.policy.media_tokens import UNKNOWN_FILE_TOKENS, media_tokens, picture_rule


def picture(width: int, height: int, *, low_detail: bool = False) -> Media:
    return Media(MediaKind.IMAGE, width, height, size_bytes=1000, low_detail=low_detail)


@pytest.mark.parametrize(
    ("model", "media", "tokens"),
    [
        # OpenAI, "Images and vision": the examples there
        ("gpt-4o", picture(1024, 1024), 765),
        ("gpt-4o", picture(2048, 4096), 1105),
        ("gpt-4o", picture(4096, 8192, low_detail=True), 85),
        ("gpt-4o-mini", picture(1024, 1024), 25501),
        ("o1", picture(1024, 1024), 675),
        ("gpt-5", picture(1024, 1024), 630),
        ("gpt-4.1-mini", picture(1024, 1024), 1659),
        ("gpt-4.1-nano", picture(1, 1), 3),
        # Anthropic, "Vision": 200 x 200 is about 54, 1092 x 1092 about 1,590
        ("claude-sonnet-4-5", picture(200, 200), 74),
        ("claude-sonnet-4-5", picture(1092, 1092), 1531),
        ("claude-3-opus-20240229", picture(8000, 8000), 1610),
        ("anthropic.claude-opus-4-7", picture(8000, 8000), 4810),
        ("claude-sonnet-5", picture(2000, 1500), 3898),
        # Gemini: 258 for a small one; recorded: 1,806 for 1000 x 667
        ("gemini-2.0-flash", picture(384, 384), 258),
        ("gemini-2.0-flash", picture(1000, 667), 1806),
        ("gemini-3-pro-preview", picture(4000, 3000), 1120),
        ("grok-2-vision", picture(100, 100), 512),
    ],
)
def test_published_examples(model: str, media: Media, tokens: int) -> None:
    assert media_tokens(picture_rule(model), media) == tokens


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4o-mini", "gpt-5.4", "gpt-4.1-nano", "claude-opus-4-1", "gemini-2.5-pro", "x"]
)
def test_a_picture_of_unknown_size_costs_the_most(model: str) -> None:
    rule = picture_rule(model)
    unknown = media_tokens(rule, Media(MediaKind.IMAGE))
    sizes = [(512, 512), (768, 2000), (3000, 3000), (4096, 4096), (20_000, 300), (1, 1)]
    assert unknown >= max(media_tokens(rule, picture(*size)) for size in sizes if max(size) / min(size) <= 4)


def test_a_document_costs_its_pages() -> None:
    rule = picture_rule("claude-sonnet-4-5")
    page = Media(MediaKind.DOCUMENT, size_bytes=500_000, pages=1)
    ten = Media(MediaKind.DOCUMENT, size_bytes=500_000, pages=10)
    assert media_tokens(rule, page) == 1610 + 3000
    assert media_tokens(rule, ten) == 10 * media_tokens(rule, page)
    assert media_tokens(rule, Media(MediaKind.DOCUMENT, size_bytes=327, pages=1)) == 1610 + 327


@pytest.mark.parametrize("kind", [MediaKind.DOCUMENT, MediaKind.AUDIO, MediaKind.VIDEO])
def test_a_file_that_is_somewhere_else_costs_what_is_usual(kind: MediaKind) -> None:
    assert media_tokens(picture_rule("gpt-4o"), Media(kind)) == UNKNOWN_FILE_TOKENS


def test_sound_and_video_cost_their_length_at_a_low_bit_rate() -> None:
    minute = 60 * 64_000 // 8  # at 64 kbit/s
    rule = picture_rule("gemini-2.5-flash")
    assert media_tokens(rule, Media(MediaKind.AUDIO, size_bytes=minute)) >= 60 * 32
    assert media_tokens(rule, Media(MediaKind.VIDEO, size_bytes=5 * minute)) >= 60 * 300 / 2
    assert media_tokens(rule, Media(MediaKind.SEALED, size_bytes=4000)) == 1000
