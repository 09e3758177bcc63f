"""What providers say of their limits in headers: values of recorded answers, and of documentation."""

from __future__ import annotations

import pytest

from headgate.types import Allowance, Allowances
from headgate.wire.allowances import read_allowances, reset_seconds

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def read(**headers: str) -> Allowances | None:
    return read_allowances({name.replace("_", "-"): value for name, value in headers.items()}, NOW)


def test_openai() -> None:
    assert read(
        x_ratelimit_limit_requests="5000",
        x_ratelimit_remaining_requests="4999",
        x_ratelimit_reset_requests="12ms",
        x_ratelimit_limit_tokens="800000",
        x_ratelimit_remaining_tokens="799947",
        x_ratelimit_reset_tokens="6m0s",
    ) == Allowances(Allowance(4999, 5000, 0.012), Allowance(799_947, 800_000, 360.0))


def test_the_project_counts_when_it_has_less_left() -> None:
    def tokens(of_project: str) -> Allowance | None:
        found = read(
            x_ratelimit_limit_tokens="100",
            x_ratelimit_remaining_tokens="50",
            x_ratelimit_limit_project_tokens="1000",
            x_ratelimit_remaining_project_tokens=of_project,
            x_ratelimit_reset_project_tokens="1ms",
        )
        return found and found.tokens

    assert tokens("40") == Allowance(40, 1000, 0.001)
    assert tokens("60") == Allowance(50, 100)


def test_azure_writes_seconds() -> None:
    assert read(
        x_ratelimit_limit_requests="250",
        x_ratelimit_remaining_requests="119",
        x_ratelimit_reset_requests="1",
        x_ratelimit_renewalperiod_requests="60",
        x_ratelimit_abusepenalty_active="False",
    ) == Allowances(Allowance(119, 250, 1.0))


def test_azures_minus_one_says_nothing() -> None:
    assert read(x_ratelimit_limit_tokens="-1", x_ratelimit_remaining_tokens="-1", x_ratelimit_reset_tokens="0") is None


def test_xai_and_mistral_tell_no_reset() -> None:
    assert read(x_ratelimit_limit_requests="1800", x_ratelimit_remaining_requests="1789") == Allowances(
        Allowance(1789, 1800)
    )
    assert read(
        x_ratelimit_limit_req_minute="100",
        x_ratelimit_remaining_req_minute="95",
        x_ratelimit_limit_tokens_minute="100000",
        x_ratelimit_remaining_tokens_minute="98188",
    ) == Allowances(Allowance(95, 100), Allowance(98_188, 100_000))


def test_anthropic() -> None:
    moment = "2026-01-01T00:00:12Z"
    assert read(
        anthropic_ratelimit_requests_limit="4000",
        anthropic_ratelimit_requests_remaining="3999",
        anthropic_ratelimit_requests_reset=moment,
        anthropic_ratelimit_tokens_limit="2400000",
        anthropic_ratelimit_tokens_remaining="2400000",
        anthropic_ratelimit_tokens_reset=moment,
        anthropic_ratelimit_input_tokens_limit="2000000",
        anthropic_ratelimit_input_tokens_remaining="1999000",
        anthropic_ratelimit_input_tokens_reset=moment,
        anthropic_ratelimit_output_tokens_limit="400000",
        anthropic_ratelimit_output_tokens_remaining="400000",
        anthropic_ratelimit_output_tokens_reset=moment,
    ) == Allowances(
        requests=Allowance(3999, 4000, 12.0),
        input_tokens=Allowance(1_999_000, 2_000_000, 12.0),
        output_tokens=Allowance(400_000, 400_000, 12.0),
    )


def test_anthropic_may_leave_some_out() -> None:
    assert read(anthropic_ratelimit_input_tokens_remaining="0", anthropic_ratelimit_input_tokens_limit="50") == (
        Allowances(input_tokens=Allowance(0, 50))
    )


def test_anthropics_sum_counts_where_it_stands_alone() -> None:
    assert read(anthropic_ratelimit_tokens_limit="100", anthropic_ratelimit_tokens_remaining="7") == Allowances(
        tokens=Allowance(7, 100)
    )


@pytest.mark.parametrize("remaining", ["", "many", "1.5", "-3", "٣", "9" * 30, "0x10", " 4"])
def test_what_is_no_count_says_nothing(remaining: str) -> None:
    assert read(x_ratelimit_remaining_requests=remaining) is None


def test_headers_without_limits_say_nothing() -> None:
    assert read(content_type="application/json", retry_after="3", x_ratelimit_reset_requests="1s") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0s", 0.0),
        ("1s", 1.0),
        ("20ms", 0.02),
        ("6m0s", 360.0),
        ("17.399999999s", 17.399999999),
        ("1h2m3.5s", 3723.5),
        ("7d1h", 608_400.0),
        ("120µs", 0.00012),
        ("250us", 0.00025),
        ("0", 0.0),
        ("33", 33.0),
        ("1.25", 1.25),
        ("1767225630", 30.0),
        ("1767225630500", 30.5),
        ("1767225500", 0.0),
        ("2026-01-01T00:00:12Z", 12.0),
        ("2026-01-01T00:00:12.5Z", 12.5),
        ("2026-01-01T02:00:12+02:00", 12.0),
        ("2025-12-31T18:30:12-05:30", 12.0),
        ("2025-01-01T00:00:00Z", 0.0),
    ],
)
def test_resets(value: str, seconds: float) -> None:
    found = reset_seconds(value, NOW)
    assert found is not None and found == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "1x",
        "s",
        "ms",
        "1s1",
        "-1",
        "-1s",
        "nan",
        "inf",
        "2026-13-01",
        "2026-99-99T00:00:00",
        "1e400s",
        "99" * 30 + "d",
    ],
)
def test_no_resets(value: str) -> None:
    assert reset_seconds(value, NOW) is None
