"""Bucket bounds of the latency histograms, in seconds; a bound belongs to its bucket (Prometheus `le`).

They follow the advice of OpenTelemetry's `gen_ai.*` metrics and of vLLM's metrics, thinned where neighbours tell an
operator the same, and stretched where a gateway sees more than an engine does (a cached answer, a long reasoning run).
A list of counts by these bounds has one place more than there are bounds: the last holds what is above them all.
"""

from __future__ import annotations

from headgate.types import ITL_BUCKETS_SECONDS

# Request sent to first content: a cached answer takes milliseconds, a long prompt on a busy engine most of a minute.
TTFT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0)

# Gap between two content events: counted by the gateway, so the bounds are part of the vocabulary.
ITL_SECONDS = ITL_BUCKETS_SECONDS

# Request sent to last content: an embedding takes 10 ms, a reasoning model may think for ten minutes.
E2E_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 240.0, 600.0)

# In the waiting room: turns are handed out as soon as something is free, nobody waits for longer than a minute.
WAITED_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)

# How late the event loop runs what was due: above 10 ms every stream of the process stutters.
LOOP_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
