"""What a provider's quota costs a request, in one process and without a network: `python -m benchmarks.quota`.

Counted is everything a request does because there are quotas: its demand, the decision, the key, the bookkeeping when
it begins and ends, and reading the answer's headers. CPU time of this process, the median of several rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from headgate.gateway.quotas import NO_LIMITS, Answered, Quota, demand_of
from headgate.policy.quota import QuotaLimits
from headgate.types import Call, Route
from headgate.wire.allowances import says_allowances

ROUNDS = 15
REQUESTS = 20_000
REQUESTS_PER_SECOND = 500
MANY = 10**9
KEYS = ("sk-1",)
PLAIN = {
    "content-type": "application/json",
    "content-length": "512",
    "date": "Thu, 01 Jan 2026 00:00:00 GMT",
    "server": "uvicorn",
    "x-request-id": "req_1",
}
OPENAI = {
    **PLAIN,
    "openai-organization": "x",
    "openai-processing-ms": "412",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "30000",
    "x-ratelimit-limit-tokens": "150000000",
    "x-ratelimit-remaining-requests": "29999",
    "x-ratelimit-remaining-tokens": "149999992",
    "x-ratelimit-reset-requests": "2ms",
    "x-ratelimit-reset-tokens": "0s",
    "cf-ray": "9a-AMS",
}
ANTHROPIC = {
    **PLAIN,
    **{
        f"anthropic-ratelimit-{kind}-{what}": value
        for kind in ("requests", "tokens", "input-tokens", "output-tokens")
        for what, value in (("limit", "4000000"), ("remaining", "3999000"), ("reset", "2026-01-01T00:00:01Z"))
    },
}


def microseconds(limits: QuotaLimits, headers: Mapping[str, str]) -> float:
    """CPU time a request, at a steady rate, with sliding windows as full as they get."""
    quota = Quota(limits)
    call = Call(
        id="req_1", route=Route.CHAT, model="small", stream=False, fields={}, body_bytes=800, max_output_tokens=200
    )
    now, rounds = 0.0, []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REQUESTS):
            now += 1 / REQUESTS_PER_SECOND
            demand = demand_of(call)
            if not quota.is_free:
                assert quota.decide(KEYS, demand, now).fits
            mark = quota.began(KEYS[0], demand, now)
            if says_allowances(headers):
                quota.heard(KEYS[0], headers, mark, Answered(now, now))
            if not quota.is_free:
                quota.accepted(KEYS[0], mark)
            quota.ended(demand, 150, mark.began)
        rounds.append((time.process_time() - began) / REQUESTS * 1e6)
    return statistics.median(rounds)


def main() -> None:
    configured = QuotaLimits(MANY, MANY)
    for name, limits, headers in (
        ("nothing configured, nothing said", NO_LIMITS, PLAIN),
        ("limits on requests and tokens", configured, PLAIN),
        ("OpenAI's headers", NO_LIMITS, OPENAI),
        ("Anthropic's headers", NO_LIMITS, ANTHROPIC),
        ("limits and OpenAI's headers", configured, OPENAI),
    ):
        print(f"{name:34} {microseconds(limits, headers):6.2f} us a request")


if __name__ == "__main__":
    main()
