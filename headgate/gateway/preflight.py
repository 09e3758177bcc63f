"""The preflight estimate of a call: decides whether its media have to be looked for, and asks for the bound."""

from __future__ import annotations

from headgate.policy.preflight import PromptBound, PromptRules, media_prompt_bound, prompt_bound
from headgate.types import Call
from headgate.wire.media import may_have_media, read_prompt
from headgate.wire.prompts import PROMPT_MEMBERS


def estimate_prompt(call: Call, rules: PromptRules) -> PromptBound:
    """What a call's prompt may cost at most. Never raises and never waits."""
    if not may_have_media(call):
        return prompt_bound(call, rules)
    prompt = read_prompt(call)
    return media_prompt_bound(call, rules, {PROMPT_MEMBERS[call.route]: prompt.text}, prompt.media)
