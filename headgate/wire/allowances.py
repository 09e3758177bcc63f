"""What a provider says of its own limits in the headers of an answer: how much is left, and when more comes.

OpenAI and those who follow it (Groq, Azure, xAI) write `x-ratelimit-remaining-requests: 59` and so on, with resets as
durations ("6m0s", "20ms"), Azure as seconds; Mistral writes `x-ratelimit-remaining-req-minute` and no resets. Anthropic
writes `anthropic-ratelimit-requests-remaining: 3999`, with resets as RFC 3339, and has limits of input and of output;
its `tokens` are their sum, and say no more.
Values that make no sense, such as Azure's -1, count as not said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import mktime_tz

from headgate.types import Allowance, Allowances

_OPENAI = {"requests": ("requests", "req-minute"), "tokens": ("tokens", "project-tokens", "tokens-minute")}
_OPENAI_NAMES = {
    kind: tuple(tuple(f"x-ratelimit-{what}-{name}" for what in ("remaining", "limit", "reset")) for name in names)
    for kind, names in _OPENAI.items()
}
_ANTHROPIC_NAMES = {
    kind: (tuple(f"anthropic-ratelimit-{kind}-{what}" for what in ("remaining", "limit", "reset")),)
    for kind in ("requests", "tokens", "input-tokens", "output-tokens")
}
_OPENAI_FIRST = frozenset(triple[0] for triples in _OPENAI_NAMES.values() for triple in triples)
_ANTHROPIC_FIRST = frozenset(triple[0] for triples in _ANTHROPIC_NAMES.values() for triple in triples)
_FIRST = _OPENAI_FIRST | _ANTHROPIC_FIRST
_LARGEST = 10**12
_UNIX_TIMES_FROM = 1e9  # a larger number of seconds is no duration
_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|[dhms])")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", flags=re.ASCII
)


def says_allowances(headers: Mapping[str, str]) -> bool:
    """Whether there is anything to read: a quick look."""
    return not headers.keys().isdisjoint(_FIRST)


def read_allowances(headers: Mapping[str, str], now: float) -> Allowances | None:
    """Read the headers of an answer; `now` is in Unix seconds. None if they say nothing. Never raises.

    Where a provider names two limits for one thing (of a key and of its project), the one with less left counts.
    """
    if not says_allowances(headers):
        return None
    if headers.keys().isdisjoint(_OPENAI_FIRST):
        names = _ANTHROPIC_NAMES
        incoming, outgoing = (_least(headers, names[f"{kind}-tokens"], now) for kind in ("input", "output"))
        found = Allowances(
            requests=_least(headers, names["requests"], now),
            tokens=_least(headers, names["tokens"], now) if incoming is None or outgoing is None else None,
            input_tokens=incoming,
            output_tokens=outgoing,
        )
    else:
        found = Allowances(
            requests=_least(headers, _OPENAI_NAMES["requests"], now),
            tokens=_least(headers, _OPENAI_NAMES["tokens"], now),
        )
    return found if found != Allowances() else None


def reset_seconds(value: str, now: float) -> float | None:
    """How long until a reset: a duration ("1s", "6m0s", "17.4s"), a number of seconds, a Unix time or RFC 3339."""
    last = value[-1:]
    if last == "s" or last in "dhm":
        return _duration(value)
    if last in "Zz" or "T" in value:
        at = _moment(value)
        return None if at is None else max(0.0, at - now)
    try:
        seconds = float(value)
    except ValueError:
        return None
    if not 0 <= seconds < 1e6 * _UNIX_TIMES_FROM:
        return None
    if seconds >= 1000 * _UNIX_TIMES_FROM:
        seconds = seconds / 1000 - now
    elif seconds >= _UNIX_TIMES_FROM:
        seconds -= now
    return max(0.0, seconds)


def _least(headers: Mapping[str, str], triples: tuple[tuple[str, ...], ...], now: float) -> Allowance | None:
    least: Allowance | None = None
    for remaining_name, limit_name, reset_name in triples:
        remaining = _count(headers.get(remaining_name))
        if remaining is None or (least is not None and least.remaining <= remaining):
            continue
        reset = headers.get(reset_name)
        least = Allowance(remaining, _count(headers.get(limit_name)), reset_seconds(reset, now) if reset else None)
    return least


def _count(value: str | None) -> int | None:
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST))):
        return None
    return int(value)


def _duration(value: str) -> float | None:
    total, end = 0.0, 0
    for part in _DURATION.finditer(value):
        if part.start() != end:
            return None
        total += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    return total if end == len(value) and value and total < _UNIX_TIMES_FROM else None


def _moment(value: str) -> float | None:
    found = _MOMENT.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
    offset = 60 * (60 * int(found[9]) + int(found[10])) * (-1 if found[8] == "-" else 1) if found[8] else 0
    try:
        return mktime_tz((year, month, day, hour, minute, second, 0, 1, 0, offset)) + float(found[7] or 0)
    except (ValueError, OverflowError):
        return None
