"""The names under which APIs know a model, brought to the one that a price list has. Knows names, no models.

| API | name | is looked up as |
|---|---|---|
| all | `gpt-4o-mini-2024-07-18`, `claude-sonnet-4-5-20250929` | itself, then without its date |
| Gemini | `models/gemini-2.5-flash`, `gemini-2.0-flash-001` | without `models/`, then without the version's number |
| Vertex | `publishers/google/models/gemini-2.5-pro`, `projects/.../models/...` | what comes after the last `models/` |
| Vertex | `claude-sonnet-4@20250514`, `claude-sonnet-5@default` | with `-` for `@`, then without its date |
| Bedrock | `us.anthropic.claude-sonnet-4-5-20250929-v1:0` | without region, vendor and version |
| Bedrock | `arn:aws:bedrock:...:inference-profile/us.anthropic...` | what comes after the last `/` |

Only Anthropic's models are looked for behind Bedrock's names: those of others cost something else there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PATH = re.compile(r"(?:models|publishers|projects)/(?:.*/)?([^/]+)|arn:.*/([^/]+)")
_BEDROCK = re.compile(r"(?:([a-z]{2,6}(?:-gov)?)\.)?anthropic\.(.+?)(?:-v\d+)?(?::\d+(?::\w+)?)?")
_DATED = re.compile(r"(.+?)[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")
_NUMBERED = re.compile(r"(gemini-.+)-\d{3}")
_SHORT_DATE = re.compile(r".+-\d{4}")  # gpt-3.5-turbo-0125
_GLOBAL_VERTEX = "aiplatform.googleapis.com"


def candidates(upstream_model: str) -> Iterator[str]:
    """The names to look for, the likeliest first."""
    yield upstream_model
    name = _without_path(upstream_model)
    if bedrock := _BEDROCK.fullmatch(name):
        name = bedrock[2]
    name = name.removesuffix("@default").replace("@", "-")
    yield name
    if numbered := _NUMBERED.fullmatch(name):
        yield numbered[1]
    if dated := _DATED.fullmatch(name):
        yield dated[1]


def is_dated(name: str) -> bool:
    """Whether it names a version frozen at a date, rather than one that the provider moves to the newest."""
    return bool(_DATED.fullmatch(name) or _SHORT_DATE.fullmatch(name))


def is_regional(upstream_model: str, host: str) -> bool:
    """Whether a cloud keeps requests for this name, at this host, in one region or a group of them.

    On Bedrock all names but those that begin with `global.`, on Vertex all hosts but the one without a region.
    """
    bedrock = _BEDROCK.fullmatch(_without_path(upstream_model))
    if bedrock is not None:
        return bool(bedrock[1] != "global")
    return "aiplatform" in host and host != _GLOBAL_VERTEX


def _without_path(name: str) -> str:
    path = _PATH.fullmatch(name)
    return path[1] or path[2] if path else name
