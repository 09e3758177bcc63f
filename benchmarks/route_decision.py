"""What it costs to choose a model: from the call to the decision with its reason, without an embedder.

python -m benchmarks.route_decision
"""

from __future__ import annotations

import time

from headgate.gateway.journey import Journey
from headgate.gateway.routers import RouterSpec
from headgate.sim.loop import run_virtual
from tests.gateway.corridor import ALICE, PRICE, Corridor, deployment, model
from tests.gateway.scripted import ScriptedProvider, answer

ROUNDS, EACH = 30, 100
SENTENCE = "Design a failover for a bank step by step, compare the trade-offs and write the plan. "
QUESTIONS = {
    "a short question": [("user", "What is the capital of France?")],
    "a question of 1 kB": [("user", SENTENCE * 12)],
    "a conversation of 20 turns": [(("user", "assistant")[turn % 2], SENTENCE * 3) for turn in range(21)],
}


async def _measure() -> None:
    router = RouterSpec("auto", ("small", "large"))
    corridor = Corridor(
        *(model(deployment(ScriptedProvider(answer(), name=name), price=PRICE), name=name) for name in router.members),
        routers={"auto": router},
    )
    for name, spoken in QUESTIONS.items():
        messages = [{"role": role, "content": text} for role, text in spoken]
        call = corridor.call(model="auto", messages=messages, stream=False)
        journey = Journey(ALICE, call, corridor.setup, started=0.0, started_at=0.0)
        best = float("inf")
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(EACH):
                await corridor.pipeline.choosing.consider(journey, router)
            best = min(best, (time.process_time() - began) / EACH)
        print(f"{name:<28} {best * 1e6:6.0f} us of CPU")


if __name__ == "__main__":
    run_virtual(_measure())
