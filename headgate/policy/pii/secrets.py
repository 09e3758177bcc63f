"""Secrets: keys and tokens by what they begin with, private keys, passwords in URLs, and what is said to be a secret.

Prefixes as the services document them. What begins like nothing known and is not said to be a secret is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.policy.pii.findings import Finding, PiiClass

_PREFIXED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (literal, re.compile(r"(?<![A-Za-z0-9_])" + pattern))
    for literal, pattern in (
        ("sk-", r"sk-(?=[A-Za-z0-9_-]{0,64}[0-9])[A-Za-z0-9_-]{16,}"),  # OpenAI, Anthropic and many others
        ("hg-", r"hg-(?=[A-Za-z0-9_-]{0,64}[0-9])[A-Za-z0-9_-]{13,}"),  # our own
        ("k_live_", r"[rs]k_live_[A-Za-z0-9]{10,}"),  # Stripe
        ("k_test_", r"[rs]k_test_[A-Za-z0-9]{10,}"),
        ("whsec_", r"whsec_[A-Za-z0-9+/=]{16,}"),
        ("gh", r"gh[pousr]_[A-Za-z0-9]{30,}"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,}"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),  # GitLab
        ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
        ("xapp-", r"xapp-[A-Za-z0-9-]{10,}"),
        ("hooks.slack.com/", r"hooks\.slack\.com/services/[A-Z0-9]{6,}/[A-Z0-9]{6,}/[A-Za-z0-9]{16,}"),
        ("/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{10,}/[\w-]{30,}"),
        ("AKIA", r"AKIA[A-Z0-9]{16}(?![A-Za-z0-9])"),  # Amazon
        ("ASIA", r"ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("AIza", r"AIza[A-Za-z0-9_-]{35}"),  # Google
        ("ya29.", r"ya29\.[A-Za-z0-9_-]{20,}"),
        ("GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{20,}"),
        ("hf_", r"hf_[A-Za-z0-9]{30,}"),
        ("npm_", r"npm_[A-Za-z0-9]{36}"),
        ("pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{50,}"),
        ("dop_v1_", r"dop_v1_[a-f0-9]{64}"),  # DigitalOcean
        ("SG.", r"SG\.[\w-]{16,32}\.[\w-]{16,64}"),  # SendGrid
        ("gsk_", r"gsk_[A-Za-z0-9]{40,}"),  # Groq
        ("xai-", r"xai-[A-Za-z0-9]{40,}"),
        ("pplx-", r"pplx-[A-Za-z0-9]{40,}"),  # Perplexity
        ("shp", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),  # Shopify
        ("lin_api_", r"lin_api_[A-Za-z0-9]{32,}"),
        ("ATATT3", r"ATATT3[\w=-]{50,}"),  # Atlassian
        ("dapi", r"dapi[a-f0-9]{32}"),  # Databricks
        ("tskey-", r"tskey-[a-z]{3,10}-[\w-]{16,}"),  # Tailscale
        (":AA", r"\d{8,10}:AA[\w-]{32,}"),  # Telegram
        ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}"),
        ("AccountKey=", r"AccountKey=[A-Za-z0-9+/=]{40,}"),  # Azure
        ("SharedAccessKey=", r"SharedAccessKey=[A-Za-z0-9+/=]{40,}"),
        ("eyJ", r"(?<!-)eyJ[\w-]{8,}+\.eyJ[\w-]{8,}+(?:\.[\w-]*)?"),  # JSON web tokens
    )
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_WORD_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+=:")
_WORDS = bytes(0x61 if byte in _WORD_BYTES else 0x20 for byte in range(256))
_LONG_WORD = b"a" * 16  # no key is shorter
_LONG_WORDS = re.compile(rb"a{16,}")
_CREDENTIALS = re.compile(r"://[^\s/@:\"'<>]{0,100}:([^\s/@\"'<>]{1,200})@")  # of a URL

# A word that announces a secret, what is between, and the secret.
_STEMS = ("passw", "passphrase", "passcode", "pwd", "secret", "token", "key", "credential", "bearer", "authorization")
_PASSWORD = re.compile(r"(?:passw(?:or)?d|passwort|passwd|passphrase|passcode|pwd)s?(?:[_-]\w{1,20})?[\"'`]?"
                       r"\s{0,3}(?:=>|[:=]|\bis\b:?)\s{0,3}[\"'`]?(?P<value>[^\s\"'`<>]{4,200})")  # fmt: skip
_TOKEN = re.compile(r"(?:secret|token|key|credentials?)(?:[_-]\w{1,20})?[\"'`]?"
                    r"\s{0,3}(?:=>|[:=]|\bis\b:?)\s{0,3}[\"'`]?(?:bearer )?"
                    r"(?P<value>[A-Za-z0-9_.+/=~-]{12,500})")  # fmt: skip
_HEADER = re.compile(r"(?:bearer|authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token|apikey)?)\s{1,3}"
                     r"(?P<value>[A-Za-z0-9_.+/=~-]{12,2000})")  # fmt: skip
_ANNOUNCED = {
    **dict.fromkeys(("passw", "passphrase", "passcode", "pwd"), _PASSWORD),
    **dict.fromkeys(("secret", "token", "key", "credential"), _TOKEN),
    **dict.fromkeys(("bearer", "authorization"), _HEADER),
}
_PLACEHOLDER = re.compile(
    r"\$|\{|<|\*{3}|x{4}|\.{3}|your|example|placeholder|changeme|redacted|none\b|null\b|true\b|false\b|process\.env"
    r"|os\.environ|getenv|self\.|config\.|settings\.|undefined"
)
_NO_PASSWORD = frozenset({"pass", "password", "passwd", "pwd", "secret", "token"})  # in examples of URLs
_AFTER_VALUE = ".,;:!?)]}"
_FEWEST_DIFFERENT = 8  # characters of a token


def known_secrets(text: str) -> Iterator[Finding]:
    """Secrets that are known by their own form."""
    shapes = text.encode("latin-1", "replace").translate(_WORDS)
    if _LONG_WORD in shapes:
        for word in _LONG_WORDS.finditer(shapes):
            yield from _prefixed(text, *word.span())
    if "-----BEGIN " in text:
        yield from _private_keys(text)
    if "@" in text and "://" in text:
        for match in _CREDENTIALS.finditer(text):
            if not _PLACEHOLDER.match(match[1]) and match[1].lower() not in _NO_PASSWORD:
                yield Finding(PiiClass.SECRET, match.start(1), match.end(1))


def _prefixed(text: str, start: int, end: int) -> Iterator[Finding]:
    word = text[start:end]
    for literal, pattern in _PREFIXED:
        if literal in word:
            for match in pattern.finditer(text, start, end):
                yield Finding(PiiClass.SECRET, match.start(), match.end())


def _private_keys(text: str) -> Iterator[Finding]:
    begins = _KEY_BEGINS.search(text)
    while begins is not None:
        ends = _KEY_ENDS.search(text, begins.end())
        end = ends.end() if ends else len(text)  # cut off: all that follows may belong to it
        yield Finding(PiiClass.SECRET, begins.start(), end)
        begins = _KEY_BEGINS.search(text, end)


def announced_secrets(text: str) -> Iterator[Finding]:
    """Secrets that a word before them announces. All of these have a digit: `password: string` is a type."""
    lower = text.lower() if text.isascii() else text.replace("İ", "I").lower()  # the one letter that grows
    for stem in _STEMS:
        pattern = _ANNOUNCED[stem]
        place = lower.find(stem)
        while place >= 0:
            match = pattern.match(lower, place)
            if match is not None and _is_secret(text, *match.span("value"), pattern is _PASSWORD):
                start, end = match.span("value")
                yield Finding(PiiClass.SECRET, start, start + len(text[start:end].rstrip(_AFTER_VALUE)))
            place = lower.find(stem, place + len(stem))


def _is_secret(text: str, start: int, end: int, is_password: bool) -> bool:
    value = text[start:end].rstrip(_AFTER_VALUE)
    if _PLACEHOLDER.search(value.lower()) or not any(one.isdigit() for one in value):
        return False
    if is_password:
        return "(" not in value and "[" not in value
    calls = text[end : end + 1] in ("(", "[")
    return not calls and len(set(value)) >= _FEWEST_DIFFERENT and any(one.isalpha() for one in value)
