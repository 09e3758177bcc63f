"""How many tokens a call's prompt has: a bound at once, or a count, off the event loop."""

from __future__ import annotations

from headgate.gateway.fleet import Deployment
from headgate.policy.estimating import tool_prompt_tokens
from headgate.policy.preflight import PromptBound, PromptRules, media_prompt_bound, prompt_bound
from headgate.ports import TokenCounter
from headgate.types import Call
from headgate.wire.media import may_have_media, read_prompt
from headgate.wire.prompts import PROMPT_MEMBERS
from headgate.wire.speakers import speaker


def estimate_prompt(call: Call, rules: PromptRules) -> PromptBound:
    """What a call's prompt may cost at most. Never raises and never waits."""
    if not may_have_media(call):
        return prompt_bound(call, rules)
    prompt = read_prompt(call)
    return media_prompt_bound(call, rules, {PROMPT_MEMBERS[call.route]: prompt.text}, prompt.media)


async def count_prompt(call: Call, deployment: Deployment, counter: TokenCounter) -> int:
    """Tokens of a prompt, as near as headgate can tell without the provider."""
    spoken, model = speaker(call.route), deployment.spec.upstream_model
    counted = await counter.count(model, spoken.prompt_texts(call)) + spoken.overhead_tokens(call)
    return counted + (tool_prompt_tokens(model) if spoken.features(call).tools else 0)
