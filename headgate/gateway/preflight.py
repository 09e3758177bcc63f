"""How many tokens a call's prompt has: a bound at once, or a count, off the event loop."""

from __future__ import annotations

from headgate.gateway.fleet import Deployment, ServedModel
from headgate.limit_errors import ContextTooLong
from headgate.policy.estimating import tool_prompt_tokens
from headgate.policy.preflight import PromptBound, PromptRules, media_prompt_bound, prompt_bound
from headgate.ports import TokenCounter
from headgate.types import Call, Route
from headgate.wire.media import may_have_media, read_prompt
from headgate.wire.prompts import PROMPT_MEMBERS
from headgate.wire.speakers import speaker

COUNT_MARGIN = 0.05  # what a count may be beside the provider's
_OF_PARTS = (Route.EMBEDDINGS, Route.COUNT_TOKENS)  # each text has the whole context; nothing is asked of a model


def estimate_prompt(call: Call, rules: PromptRules) -> PromptBound:
    """What a call's prompt may cost at most. Never raises and never waits."""
    if not may_have_media(call):
        return prompt_bound(call, rules)
    prompt = read_prompt(call)
    return media_prompt_bound(call, rules, {PROMPT_MEMBERS[call.route]: prompt.text}, prompt.media)


async def check_context(call: Call, model: ServedModel, counter: TokenCounter) -> None:
    """Raises ContextTooLong if the prompt is longer than the operator says that the model takes: when the bound of its
    tokens is, and then their number."""
    most = model.spec.context_tokens
    if most is None or call.body_bytes <= most or call.route in _OF_PARTS:
        return
    if estimate_prompt(call, model.prompt_rules).tokens <= most:
        return
    counted = await count_prompt(call, model.deployments[0], counter)
    if counted * (1 - COUNT_MARGIN) > most:
        raise ContextTooLong(
            f"The prompt has about {counted} tokens, and '{model.spec.name}' takes {most}, the answer included."
            " Shorten it, or ask a model that takes more."
        )


async def count_prompt(call: Call, deployment: Deployment, counter: TokenCounter) -> int:
    """Tokens of a prompt, as near as headgate can tell without the provider."""
    spoken, model = speaker(call.route), deployment.spec.upstream_model
    counted = await counter.count(model, spoken.prompt_texts(call)) + spoken.overhead_tokens(call)
    return counted + (tool_prompt_tokens(model) if spoken.features(call).tools else 0)
