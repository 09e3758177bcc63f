"""How many tokens of input a request may cost, before it is sent: what is held, so rather too much than too little.

The estimate is of the bytes of every member of the body that a model may see (`weighing.py`) and of its media by the
providers' rules (`media_tokens.py`). The JSON around the texts is weighed too, which makes up for the frames that
providers put around messages. What is held is the estimate with a margin, as no two vocabularies agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from headgate.media import Media
from headgate.policy.media_tokens import PictureRule, media_tokens, picture_rule
from headgate.policy.weighing import WHOLE_BYTES, weigh
from headgate.types import Call, Frozen

MARGIN = 0.15
# Members of a body that no model reads. All others count, also those that headgate does not know.
_UNREAD = frozenset((
    "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens", "temperature",
    "top_p", "top_k", "n", "seed", "user", "metadata", "logit_bias", "logprobs", "top_logprobs", "store",
    "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "presence_penalty",
    "frequency_penalty", "parallel_tool_calls", "include", "truncation", "background", "encoding_format", "dimensions",
    "thinking", "betas", "modalities", "stop", "stop_sequences",
))  # fmt: skip
_TOOLS = ("tools", "functions", "toolConfig")
_SCHEMAS = ("response_format", "output_config", "output_format")
_DESCRIBING = frozenset((*_TOOLS, *_SCHEMAS))
_NO_TOOLS = (b"[]", b"null")


class PromptRules(Frozen, frozen=True, gc=False):
    """What is known of the models that may answer, the dearest of each. Made once, when deployments change."""

    factor: float  # tokens of the vocabulary for each that was weighed
    added_tokens: int  # that the provider puts before a prompt
    tool_tokens: int  # that it puts before tools
    pictures: tuple[PictureRule, ...]


class PromptBound(Frozen, frozen=True, gc=False):
    """Tokens of input of a request.

    `tokens` is held. `most_tokens` is what no text can pass: a token for each byte. If not even that reaches a cap, no
    count is needed; between the two only an exact count is certain.
    """

    tokens: int
    most_tokens: int
    text_bytes: int
    sampled: bool  # weighed by pieces
    media_tokens: int = 0

    @property
    def reason(self) -> str:
        """For a log or a refusal."""
        how = "sampled" if self.sampled else "weighed"
        media = f", {self.media_tokens} of them for media" if self.media_tokens else ""
        return f"at most about {self.tokens} input tokens by {self.text_bytes} bytes of JSON ({how}){media}"


class _Family(Frozen, frozen=True, gc=False):
    pattern: re.Pattern[str]
    factor: float
    added_tokens: int
    tool_tokens: int


# By the name of a model in lower case. Tokens before a prompt and before tools or a schema are the most that recorded
# exchanges show; Anthropic publishes 264 to 530 for tools, and up to 1.35 times the tokens for models since Opus 4.7.
_FAMILIES = (
    _Family(re.compile(r"claude-(1|2|3|instant|v2|(haiku|sonnet|opus)-4(?!\d)(?![-.][7-9]\b))"), 1.1, 90, 580),
    _Family(re.compile(r"claude"), 1.4, 90, 600),
    _Family(re.compile(r"gemini|gemma"), 1.0, 20, 20),
    _Family(re.compile(r"gpt-oss"), 1.0, 70, 160),
    _Family(re.compile(r"gpt|\bo\d\b|davinci|babbage|text-embedding-(3|ada)|codex"), 1.0, 12, 140),
    _Family(re.compile(r"mistral|mixtral|magistral|devstral|ministral|codestral|pixtral"), 1.0, 12, 30),
    _Family(re.compile(r"deepseek"), 1.0, 80, 210),
    _Family(re.compile(r"grok"), 1.0, 200, 130),
    _Family(re.compile(r"nova"), 1.1, 60, 760),
    _Family(re.compile(r"llama"), 1.0, 40, 620),
    _Family(re.compile(r"glm|sonar|pplx|voyage|embed"), 1.0, 12, 160),
)
_OTHERS = _Family(re.compile(""), 1.1, 80, 620)


def prompt_rules(upstream_models: Iterable[str]) -> PromptRules:
    """The rules for a request that any of these models may answer, a fallback too."""
    names = [name.lower() for name in upstream_models]
    families = [next((family for family in _FAMILIES if family.pattern.search(name)), _OTHERS) for name in names]
    families = families or [_OTHERS]
    return PromptRules(
        factor=max(family.factor for family in families),
        added_tokens=max(family.added_tokens for family in families),
        tool_tokens=max(family.tool_tokens for family in families),
        pictures=tuple(dict.fromkeys(picture_rule(name) for name in names or [""])),
    )


def prompt_bound(call: Call, rules: PromptRules) -> PromptBound:
    """The bound of a prompt without media: 5 us for 2 kB, 0.1 ms for 400 kB. The call's id says where it is weighed."""
    pieces = [bytes(raw) for name, raw in call.fields.items() if name not in _UNREAD]
    return _bound(call, rules, pieces[0] if len(pieces) == 1 else b"".join(pieces))


def media_prompt_bound(
    call: Call, rules: PromptRules, texts: Mapping[str, bytes], media: Sequence[Media]
) -> PromptBound:
    """The bound of a prompt with media. `texts` stand for the members of their names, without what was found."""
    pieces = [texts.get(name) or bytes(raw) for name, raw in call.fields.items() if name not in _UNREAD]
    tokens = max((sum(media_tokens(rule, one) for one in media) for rule in rules.pictures), default=0)
    bound = _bound(call, rules, b"".join(pieces))
    return msgspec.structs.replace(
        bound, tokens=bound.tokens + tokens, most_tokens=bound.most_tokens + tokens, media_tokens=tokens
    )


def _bound(call: Call, rules: PromptRules, text: bytes) -> PromptBound:
    added = rules.added_tokens
    if not _DESCRIBING.isdisjoint(call.fields) and _describes(call.fields):
        added += rules.tool_tokens
    length = len(text)
    estimate = weigh(text, call.id) * rules.factor
    return PromptBound(math.ceil(estimate * (1 + MARGIN)) + added, length + added, length, length > WHOLE_BYTES)


def _describes(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether there are tools or a schema, before which a provider puts instructions."""
    for name in _TOOLS:
        if name in fields and bytes(fields[name]) not in _NO_TOOLS:
            return True
    return any(name in fields and b"schema" in bytes(fields[name]) for name in _SCHEMAS)
