"""What a tier lets a request do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.policy import access
from headgate.policy.access import Denial
from headgate.types import Call, Features, Route, Tier

EVERYTHING = Features(tools=True, images=True)
MODELS = ("small", "large", "embed")
ceilings = st.none() | st.integers(1, 100_000)


def call(model: str = "small", route: Route = Route.CHAT, max_output_tokens: int | None = None) -> Call:
    return Call("req_1", route, model, False, {}, 0, max_output_tokens=max_output_tokens)


def tier(*models: str, features: Features = EVERYTHING, max_output_tokens: int | None = None) -> Tier:
    return Tier("free", frozenset(models), features, max_output_tokens)


def test_a_star_means_every_model() -> None:
    assert access.may_use(tier("*"), "anything")
    assert not access.may_use(tier("small"), "anything")
    assert not access.may_use(tier(), "anything")


@given(st.frozensets(st.sampled_from(MODELS)), st.sampled_from(MODELS))
def test_a_model_outside_the_tier_is_always_denied(models: frozenset[str], model: str) -> None:
    decision = access.decide(tier(*models), call(model), Features())
    assert (decision.denied is Denial.MODEL) == (model not in models)


@given(st.builds(Features, st.booleans(), st.booleans()), st.builds(Features, st.booleans(), st.booleans()))
def test_features_are_denied_exactly_when_used_and_not_allowed(allowed: Features, used: Features) -> None:
    denied = access.decide(tier("*", features=allowed), call(), used).denied
    missing = {
        Denial.TOOLS: used.tools and not allowed.tools,
        Denial.IMAGES: used.images and not allowed.images,
    }
    assert missing[denied] if denied else not any(missing.values())


def test_the_reason_names_what_is_missing() -> None:
    decision = access.decide(tier("small"), call("large"), Features())
    assert "large" in decision.reason and "free" in decision.reason
    assert "tools" in access.decide(tier("*", features=Features()), call(), Features(tools=True)).reason


@given(asked=ceilings, of_tier=ceilings, of_model=ceilings)
def test_no_answer_may_be_longer_than_any_ceiling(asked: int | None, of_tier: int | None, of_model: int | None) -> None:
    lowered_to = access.lowered_to(tier("*", max_output_tokens=of_tier), call(max_output_tokens=asked), of_model)
    sent = asked if lowered_to is None else lowered_to
    if of_tier is not None:
        assert sent is not None and sent <= of_tier
    if asked is not None:
        assert sent is not None and sent <= asked
        assert of_model is None or sent <= of_model


@given(asked=ceilings, of_tier=ceilings, of_model=ceilings)
def test_a_call_that_fits_is_left_as_it_is(asked: int | None, of_tier: int | None, of_model: int | None) -> None:
    fits = asked is not None and all(ceiling is None or asked <= ceiling for ceiling in (of_tier, of_model))
    lowered_to = access.lowered_to(tier("*", max_output_tokens=of_tier), call(max_output_tokens=asked), of_model)
    if fits or (asked is None and of_tier is None):
        assert lowered_to is None


def test_embeddings_have_no_output_to_lower() -> None:
    assert access.lowered_to(tier("*", max_output_tokens=5), call("embed", Route.EMBEDDINGS), 7) is None
