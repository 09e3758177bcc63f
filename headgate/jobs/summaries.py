"""What is asked to get a summary, and what of the answer is kept.

What never changes within a job stands first, word for word, so that a provider's prompt cache has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.errors import UpstreamEmpty
from headgate.policy.estimating import estimate_tokens
from headgate.types import Frozen

WORDS_PER_TOKEN = 0.6  # rather fewer words than fit, so that summaries end by themselves
_READ = (
    "You summarize documents. Write the facts, names, numbers and conclusions of the document in at most {words} words "
    "of plain prose, in the language of the document. Write nothing else: no preface and no judgement of your own."
)
_COMBINE = (
    "You combine summaries of different documents into one. Keep what matters most and what they have in common, with "
    "names and numbers, and say where they differ. Write at most {words} words of plain prose, and nothing else."
)


class Summary(Frozen, frozen=True, omit_defaults=True):
    """What is kept of an answer. `cut`: it ended at the most tokens it may have, not by itself."""

    text: str
    cut: bool = False
    left_out: tuple[str, ...] = ()  # parts that failed, of which nothing is in the text


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []


_completion = msgspec.json.Decoder(_Completion)
_summary = msgspec.json.Decoder(Summary)


def instructions(is_reduce: bool, summary_tokens: int, wishes: str) -> str:
    """The beginning of every prompt of a job: of those that read documents, or of those that combine summaries."""
    base = (_COMBINE if is_reduce else _READ).format(words=int(summary_tokens * WORDS_PER_TOKEN))
    return f"{base}\n\n{wishes}" if wishes else base


def chat_body(model: str, system: str, text: str, max_tokens: int) -> bytes:
    """A chat completion."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return msgspec.json.encode({"model": model, "messages": messages, "max_tokens": max_tokens})


def numbered(texts: Sequence[str]) -> str:
    """Summaries for a prompt."""
    return "\n\n".join(f"Summary {number}:\n{text}" for number, text in enumerate(texts, start=1))


def answer_text(completion: bytes) -> tuple[str, bool]:
    """The text of a chat completion, and whether it was cut. Raises UpstreamEmpty if there is none."""
    choices = _completion.decode(completion).choices
    text = (choices[0].message.content or "").strip() if choices else ""
    if not text:
        raise UpstreamEmpty("The model answered without any text.")
    return text, choices[0].finish_reason == "length"


def summary_of(completion: bytes, left_out: Sequence[str] = ()) -> Summary:
    """Raises UpstreamEmpty."""
    text, is_cut = answer_text(completion)
    return Summary(text, is_cut, tuple(left_out))


def read_summary(result: bytes) -> Summary:
    """As it was kept."""
    return _summary.decode(result)


def prompt_tokens(system: str) -> int:
    """Estimated tokens of the beginning of a prompt."""
    return estimate_tokens(system)
