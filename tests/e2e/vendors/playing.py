"""Scripts of an upstream that is every vendor at once: who is asked stands in the URL."""

from __future__ import annotations

from types import ModuleType

from tests.e2e.upstream import Exchange, Script
from tests.e2e.vendors import chat, gemini, messages, responses
from tests.e2e.vendors.mind import Heard, Mind, obliging

PIECE_BYTES = 150


def vendor_of(path: str) -> ModuleType:
    """The module that speaks what this URL speaks."""
    if "GenerateContent" in path or "generateContent" in path:
        return gemini
    endings = {"/messages": messages, "/responses": responses, "/chat/completions": chat}
    return next(vendor for ending, vendor in endings.items() if path.endswith(ending))


def path_of(exchange: Exchange) -> str:
    return exchange.head.split(" ")[1].partition("?")[0]


def speaking(mind: Mind = obliging) -> Script:
    """A script in which this model answers, in whatever dialect it is asked."""

    async def script(exchange: Exchange) -> None:
        path = path_of(exchange)
        if path.endswith("/count_tokens"):
            await exchange.json({"input_tokens": 20})
            return
        vendor = vendor_of(path)
        heard: Heard = vendor.hear(exchange.body)
        said = mind(heard)
        if not (heard.stream or "streamGenerateContent" in path):
            await exchange.json(vendor.answer(said))
            return
        data = vendor.stream(said, exchange.body)
        await exchange.begin_stream()
        for start in range(0, len(data), PIECE_BYTES):
            await exchange.chunk(data[start : start + PIECE_BYTES])
        await exchange.end_stream()

    return script


def refusing(message: str, status: int, *headers: str) -> Script:
    """A script that answers every request with an error."""

    async def script(exchange: Exchange) -> None:
        vendor = vendor_of(path_of(exchange))
        told = chat if vendor is responses else vendor
        await exchange.json(told.error(message, status), status, *headers)

    return script


def heard(exchange: Exchange) -> Heard:
    """What the provider understood of a request."""
    understood: Heard = vendor_of(path_of(exchange)).hear(exchange.body)
    return understood
