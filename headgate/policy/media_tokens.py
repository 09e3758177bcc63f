"""What pictures, documents, sound and video cost as input, by the rule that each provider publishes.

Everything is an upper bound: a picture is only ever scaled down, a detail that is not said counts as high, and what has
no size yet (a URL, an id) counts as the most that the rule allows.
"""

from __future__ import annotations

import math
import re

from headgate.media import Media, MediaKind
from headgate.types import Frozen

UNKNOWN_FILE_TOKENS = 20_000  # a document, sound or video named by a URL or an id: a paper of ten to twenty pages
MOST_FILE_TOKENS = 1_000_000
PAGE_TEXT_TOKENS = 3000  # Anthropic, "PDF support": 1,500 to 3,000 a page, beside its picture
_BYTES_PER_AUDIO_TOKEN = 62  # 32 tokens a second (Gemini, "Audio understanding") at 16 kbit/s, the least that is usual
_BYTES_PER_VIDEO_TOKEN = 40  # 300 tokens a second (Gemini, "Video understanding") at 100 kbit/s
_SEALED_BYTES_PER_TOKEN = 4  # base64 of four bytes of text a token is 5.3; recorded answers have 8 and more


class Tiles(Frozen, frozen=True, gc=False):
    """Pictures as tiles of 512 pixels.

    OpenAI, "Images and vision": scaled down to fit 2048 x 2048, then until the shorter side has 768 pixels; `base` for
    the whole and `tile` for each tile; at low detail `base` alone.
    """

    base: int
    tile: int

    def tokens(self, picture: Media) -> int:
        if picture.low_detail:
            return self.base
        width, height = picture.width or 2048, picture.height or 2048
        scale = min(1.0, 2048 / max(width, height), 768 / min(width, height))
        if not picture.width:
            return self.base + self.tile * 8  # 2048 x 768
        return self.base + self.tile * _ceil(width * scale / 512) * _ceil(height * scale / 512)


class Patches(Frozen, frozen=True, gc=False):
    """Pictures as patches of `side` pixels, `per_patch` tokens each, scaled down to `most` of them.

    OpenAI, "Images and vision": 32 pixels, 1,536 patches, newer models more. Anthropic, "Vision": 28 pixels, about
    width x height / 750, at most some 1,600 tokens, newer models some 4,800. Detail is no matter here.
    """

    side: int
    most: int
    per_patch: float = 1.0
    base: int = 0

    def tokens(self, picture: Media) -> int:
        patches = self.most
        if picture.width:
            patches = min(patches, _ceil(picture.width / self.side) * _ceil(picture.height / self.side))
        return self.base + _ceil(patches * self.per_patch)


class Crops(Frozen, frozen=True, gc=False):
    """Pictures whole when small, else whole and in crops of up to 768 pixels, `each` tokens.

    Gemini, "Understand and count tokens": 258 if both sides have at most 384 pixels, else 258 for each crop. Recorded
    answers have one more of them than crops. Pictures are scaled down to 3072 pixels.
    """

    each: int

    def tokens(self, picture: Media) -> int:
        width, height = picture.width or 3072, picture.height or 3072
        if max(width, height) <= 384:
            return self.each
        scale = min(1.0, 3072 / max(width, height))
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        side = max(256, min(768, int(min(width, height) / 1.5)))
        return self.each * (1 + _ceil(width / side) * _ceil(height / side))


PictureRule = Tiles | Patches | Crops

# The first that fits a model's name in lower case. Where a published factor was corrected, the higher one stands here.
_RULES: tuple[tuple[re.Pattern[str], PictureRule], ...] = (
    (re.compile(r"gpt-4o-mini"), Tiles(2833, 5667)),
    (re.compile(r"gpt-4\.1-mini"), Patches(32, 1536, 1.62)),
    (re.compile(r"gpt-4\.1-nano|gpt-5-nano"), Patches(32, 1536, 2.46)),
    (re.compile(r"o4-mini|codex-mini"), Patches(32, 1536, 1.72)),
    (re.compile(r"gpt-5-mini"), Patches(32, 1536, 1.62)),
    (re.compile(r"gpt-5\.\d+-(mini|nano)"), Patches(32, 2500, 1.62)),
    (re.compile(r"gpt-5\.[2-9]|gpt-[6-9]"), Patches(32, 10_000, 1.2)),
    (re.compile(r"gpt-5"), Tiles(70, 140)),
    (re.compile(r"\bo[13]\b"), Tiles(75, 150)),
    (re.compile(r"computer-use"), Tiles(65, 129)),
    (re.compile(r"gpt-4|chatgpt"), Tiles(85, 170)),
    (re.compile(r"claude-(2|3|instant|v2|haiku-4|sonnet-4|opus-4)(?![-.][7-9])"), Patches(28, 1600, base=10)),
    (re.compile(r"claude"), Patches(28, 4800, base=10)),
    (re.compile(r"gemini-(1|2|flash-8b)|gemma"), Crops(258)),
    (re.compile(r"gemini"), Patches(4096, 1, 1120)),  # Gemini 3, "Media resolution": 1,120 at the default
    (re.compile(r"grok"), Patches(448, 6, 256, base=256)),  # xAI, "Image understanding": tiles of 448, one more
    (re.compile(r"llama"), Patches(336, 16, 145, base=300)),  # Llama 4: 144 for each of up to 16 tiles, and the whole
)
# Mistral's, Qwen's and others' models merge patches of 14 or 16 pixels by two; the largest take 4,096.
_OTHERS = Patches(28, 4096, 1.1, base=100)


def picture_rule(upstream_model: str) -> PictureRule:
    """By the provider's name of a model."""
    name = upstream_model.lower()
    return next((rule for pattern, rule in _RULES if pattern.search(name)), _OTHERS)


def media_tokens(rule: PictureRule, media: Media) -> int:
    """Tokens of one part of a prompt that is no text, at most.

    A document costs a picture and PAGE_TEXT_TOKENS a page, but no more text than a token for each byte of its file.
    """
    if media.kind is MediaKind.IMAGE:
        return rule.tokens(media)
    if media.kind is MediaKind.SEALED:
        return _ceil(media.size_bytes / _SEALED_BYTES_PER_TOKEN)
    if not media.size_bytes:
        return UNKNOWN_FILE_TOKENS
    if media.kind is MediaKind.AUDIO:
        tokens = _ceil(media.size_bytes / _BYTES_PER_AUDIO_TOKEN)
    elif media.kind is MediaKind.VIDEO:
        tokens = _ceil(media.size_bytes / _BYTES_PER_VIDEO_TOKEN)
    else:
        text = media.size_bytes
        pictures = 0
        if media.pages:
            text = min(text, PAGE_TEXT_TOKENS * media.pages)
            pictures = media.pages * rule.tokens(_PAGE)
        tokens = text + pictures
    return min(tokens, MOST_FILE_TOKENS)


_PAGE = Media(MediaKind.IMAGE, 1275, 1650)  # letter paper at 150 dots an inch


def _ceil(value: float) -> int:
    return math.ceil(value - 1e-9)
