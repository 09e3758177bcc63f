"""The vocabulary of routers: what is read of a call, what is known of the models to choose from."""

from __future__ import annotations

from headgate.judgements import WeakOutcome
from headgate.types import Frozen


class Signals(Frozen, frozen=True, gc=False):
    """What a router looks at in a call, whatever its dialect. Texts are cut to what a decision needs."""

    text: str  # what the user says now
    prior_text: str = ""  # what the user said before that
    first_text: str = ""  # with which the user began; the same as `text` in a first turn
    turn: int = 1  # of the user, from 1
    characters: int = 0  # of all that user and assistant have said
    tools: bool = False
    images: bool = False
    wants_json: bool = False
    json_schema: bool = False  # wants JSON of a schema
    logprobs: bool = False
    beginning: bytes = b""  # a digest of the instructions and of the first text


class Hardness(Frozen, frozen=True, gc=False):
    """How hard a question is. `reasons` are what moved the score most."""

    difficulty: float  # the share of usual questions that are easier, in [0, 1]
    loss: float  # how much more often the best model's answer is better than the cheapest one's, in [0, 1]
    reasons: tuple[str, ...] = ()


class Candidate(Frozen, frozen=True, gc=False):
    """What a router knows of one of its models. Tokens and cost are of this request, cost in pico-dollars."""

    model: str
    prompt_tokens: int  # a bound
    cost_picousd: int  # with an answer of usual length
    serves: bool = True  # can be asked through this URL
    tools: bool | None = None  # None: not known, and taken for yes
    images: bool | None = None
    json_schema: bool | None = None
    context_tokens: int | None = None  # None: not known
    usable: bool = True  # a deployment would take the request now
    ttft_seconds: float | None = None  # of the fastest deployment, lately; None: not known


class Scored(Frozen, frozen=True, gc=False, omit_defaults=True):
    """What a router thought of one of its models."""

    model: str
    quality: float  # expected, 1.0 is the best model's
    cost_picousd: int  # expected
    excluded: str = ""  # why it could not be chosen


class Routed(Frozen, frozen=True, gc=False, omit_defaults=True):
    """How a router chose the model of a request. `why` is one word, `reason` a sentence."""

    router: str
    model: str  # the one that answered, or was to
    why: str
    reason: str
    difficulty: float  # the share of usual questions that are easier
    candidates: tuple[Scored, ...] = ()


class Judged(Frozen, frozen=True):
    """What became of a router's choice of a cheaper model: compared with the best one's answer by a judge, or appealed
    against by its user. A row that the difficulty model can learn from."""

    id: str  # of the request that was judged; an appeal has its own row
    at: float  # Unix seconds
    router: str
    tenant: str  # whose request it was
    weak: str
    strong: str
    outcome: WeakOutcome
    source: str  # shadow, appeal or challenge
    judge: str = ""  # the model that compared
    cost_picousd: int = 0  # of the second answer and of the judge
    prompt: str = ""  # what was asked, as far as it may be kept
    gate: int = 0  # how often the router had been closed and opened by then


class LossSum(Frozen, frozen=True, gc=False):
    """Shadow runs of one router in one week (its Monday as a day since 1970), by how they ended."""

    router: str
    week: int
    gate: int
    wins: int = 0  # the cheaper model's answer was better
    ties: int = 0
    losses: int = 0
    cost_picousd: int = 0


class RouterGate(Frozen, frozen=True, gc=False):
    """Whether a router may choose, or gives everything to its best model. `number` grows with every change."""

    router: str
    number: int
    closed: bool
    at: float  # Unix seconds
    reason: str


class Answered(Frozen, frozen=True):
    """A request that a router gave to a model, for an appeal."""

    tenant: str
    user: str | None
    key_id: str
    router: str
    model: str
