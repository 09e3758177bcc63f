"""Gemini's logprobsResult in the shape of OpenAI's chat completions."""

from __future__ import annotations

import msgspec


class _Likely(msgspec.Struct, rename="camel", gc=False):
    token: str = ""
    log_probability: float = 0.0


class _Likeliest(msgspec.Struct):
    candidates: tuple[_Likely, ...] = ()


class _LogprobsResult(msgspec.Struct, rename="camel"):
    chosen_candidates: tuple[_Likely, ...] = ()
    top_candidates: tuple[_Likeliest, ...] = ()


class _Logprob(msgspec.Struct, omit_defaults=True):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[_Logprob] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Logprob]


_result = msgspec.json.Decoder(_LogprobsResult)


def read_logprobs(raw: bytes) -> msgspec.Raw | None:
    """None if nothing was chosen. Raises ValueError."""
    result = _result.decode(raw)
    if not result.chosen_candidates:
        return None
    tops = [[_logprob(top) for top in likeliest.candidates] for likeliest in result.top_candidates]
    content = [_logprob(chosen) for chosen in result.chosen_candidates]
    for place, logprob in enumerate(content):
        logprob.top_logprobs = tops[place] if place < len(tops) else []
    return msgspec.Raw(msgspec.json.encode(_Logprobs(content)))


def _logprob(likely: _Likely) -> _Logprob:
    return _Logprob(likely.token, likely.log_probability, list(likely.token.encode()))
