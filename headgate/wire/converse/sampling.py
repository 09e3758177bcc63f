"""Sampling: temperature, top_p and top_k, as far as a model takes them."""

from __future__ import annotations

from headgate.wire.converse.content import Block, BlockWriter
from headgate.wire.neutral import Request

_LEAST_TOP_P_THINKING = 0.95  # of a Claude that thinks


def write_samplers(request: Request, writer: BlockWriter, *, thinks: bool) -> Block:
    """temperature and top_p, as members of `inferenceConfig`. 1 is what both are when nothing is said."""
    taken = writer.claude.samplers if writer.claude is not None else "all"
    told = {"temperature": request.temperature, "top_p": request.top_p}
    if thinks or taken != "all":
        told = {name: value for name, value in told.items() if value != 1}
    temperature, top_p = told.get("temperature"), told.get("top_p")
    written: Block = {}
    if temperature is not None:
        if thinks or taken == "none":
            writer.left_over("temperature")
        else:
            written["temperature"] = temperature
    if top_p is not None:
        if taken == "none" or (taken == "one" and written) or (thinks and top_p < _LEAST_TOP_P_THINKING):
            writer.left_over("top_p")
        else:
            written["topP"] = top_p
    return written


def write_top_k(request: Request, writer: BlockWriter, *, thinks: bool) -> Block:
    """top_k, where the family has it inside `additionalModelRequestFields`."""
    if request.top_k is None:
        return {}
    path = writer.family.top_k
    if not path or thinks or (writer.claude is not None and writer.claude.samplers == "none"):
        writer.left_over("top_k")
        return {}
    *outer, innermost = path
    fields: Block = {innermost: request.top_k}
    for name in reversed(outer):
        fields = {name: fields}
    return fields
