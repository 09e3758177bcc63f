"""The diagram of an item's states in docs/jobs.md, from the table in `headgate/policy/jobs.py`.

python -m scripts.jobs_diagram
"""

from __future__ import annotations

import sys

from headgate.policy.jobs import OPEN, TRANSITIONS


def diagram() -> str:
    """As Mermaid draws it."""
    lines = ["stateDiagram-v2", "    [*] --> queued: submit"]
    lines += [f"    {state} --> {target}: {event}" for (state, event), target in TRANSITIONS.items()]
    ends = dict.fromkeys(target for target in TRANSITIONS.values() if target not in OPEN)
    return "\n".join([*lines, *(f"    {end} --> [*]" for end in ends)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(diagram())
