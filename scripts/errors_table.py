"""The page about errors, from the classes in `headgate/errors.py`.

python -m scripts.errors_table > docs/errors.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from headgate import (
    delivery_errors,
    document_errors,
    errors,
    file_errors,
    idempotency_errors,
    job_errors,
    limit_errors,
    queue_errors,
)
from headgate.errors import (
    Forbidden,
    HeadgateError,
    InvalidRequest,
    Overloaded,
    Unauthenticated,
    UpstreamError,
)
from headgate.limit_errors import LimitRefusal

_MODULES = (
    errors,
    limit_errors,
    idempotency_errors,
    queue_errors,
    delivery_errors,
    document_errors,
    file_errors,
    job_errors,
)  # fmt: skip
INTRODUCTION = """\
# Errors

Every request that ends badly ends with one of these. The body has the shape of the caller's dialect, so that SDKs raise
their own exceptions. In OpenAI's, `code` is what programs should look at, `message` says what is wrong and what to do:

```json
{"error": {"message": "The model 'x' does not exist or your key may not use it. ...", "type": "invalid_request_error",
           "param": "model", "code": "model_not_found", "request_id": "req_..."}}
```

To Messages clients it is `{"type": "error", "error": {"type", "message"}, "request_id"}`, whose `type` follows the
status. The request id stands in `x-request-id` too, for them in `request-id` as well. Where waiting helps there are
`retry-after` (seconds, rounded up) and `retry-after-ms`; where an SDK would try again in vain there is
`x-should-retry: false`.

A stream that has begun has its status already. If it breaks, its last event is the same object (`data: {"error": ...}`,
for Responses and Messages `event: error`), and no end marker follows: what came before it was sent by the provider, but
is not complete.

An error status of a provider that is about the request (400, 404, 413, 422 and the like), and what is left when all
attempts have failed, is passed on with the provider's own status, and with its body if that is in the caller's dialect;
else the provider's sentence is told in the caller's shape. 401 and 403 are about headgate's key and become
`upstream_auth`. `x-headgate-attempts` says who was asked. [dialects.md](dialects.md#errors) has more.

What a limit or a budget refuses also has `limit` beside `code`, with the numbers: `name`, `scope`, `subject`, `unit`,
`limit`, `used`, `held`, `needed`, and `resets_at` or `retry_after_seconds`. [limits.md](limits.md) explains them.

This page is generated from `headgate/errors.py` and the other modules of errors.
"""

SECTIONS: tuple[tuple[str, type[HeadgateError] | None], ...] = (
    ("The request is wrong: sending it again changes nothing", InvalidRequest),
    ("Who is asking", Unauthenticated),
    ("Not allowed", Forbidden),
    ("A limit or a budget says no", LimitRefusal),
    ("headgate cannot take it now: waiting helps", Overloaded),
    ("The provider failed", UpstreamError),
    ("headgate itself", None),
)


def all_errors() -> list[type[HeadgateError]]:
    """Every error class but the bases, in the order of the source."""
    found: list[type[HeadgateError]] = []
    for module in _MODULES:
        classes = [member for _, member in inspect.getmembers(module, inspect.isclass)]
        own = [each for each in classes if issubclass(each, HeadgateError) and each.__module__ == module.__name__]
        found += sorted(own, key=lambda member: inspect.getsourcelines(member)[1])
    return [error for error in found if error not in (HeadgateError, LimitRefusal)]


def page() -> str:
    """The whole page as Markdown."""
    return INTRODUCTION + "".join(_section(title, base) for title, base in SECTIONS)


def _section(title: str, base: type[HeadgateError] | None) -> str:
    rows = "\n".join(_row(error) for error in _members(base))
    return f"\n## {title}\n\n| code | status | type | try again | when |\n|---|---:|---|---|---|\n{rows}\n"


def _members(base: type[HeadgateError] | None) -> Iterator[type[HeadgateError]]:
    bases = tuple(member for _, member in SECTIONS if member is not None)
    for error in all_errors():
        if issubclass(error, base) if base is not None else not issubclass(error, bases):
            yield error


def _row(error: type[HeadgateError]) -> str:
    meaning = " ".join(inspect.cleandoc(error.__doc__ or "").split()).replace("|", "\\|")
    again = "yes" if error.should_retry else "no"
    return f"| `{error.code}` | {error.status} | `{error.kind}` | {again} | {meaning} |"


if __name__ == "__main__":
    sys.stdout.write(page())
