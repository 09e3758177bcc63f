"""Where a queue is: an address such as amqp://user:password@host/?queue=requests, taken apart.

Redis and AMQP name the queue by the parameter `queue`, as their addresses have paths of their own; Kafka's topic and
SQS's queue are the path. Parameters that are headgate's do not reach the broker's client.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from headgate.errors import InvalidRequest
from headgate.types import Frozen

DEFAULT_NAME = "headgate-jobs"  # of a queue whose address names none
_OURS = ("queue", "group", "lease_seconds", "from_offset", "from_time")
DEAD = "-dead"  # after the name of a queue: the queue of what could not be used
_FIFO = ".fifo"
_LONGEST_LEASE_SECONDS = 43_200
_NAMED_BY_PATH = ("kafka", "sqs")
SCHEMES = ("redis", "rediss", "unix", "amqp", "amqps", "kafka", "sqs")


class Place(Frozen, frozen=True):
    """A queue of a broker."""

    scheme: str
    name: str
    address: str  # of the broker, as its client wants it
    host: str  # of Kafka all servers, of SQS the region
    shown: str  # without password and parameters: for people, and as the name of the source
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str, default: str = "") -> str:
        """A parameter of the address."""
        return dict(self.options).get(name, default)

    def lease_seconds(self, usual: float) -> float:
        """How long a receiver has a message, as the address says. Raises InvalidRequest."""
        try:
            seconds = float(self.option("lease_seconds", str(usual)))
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < _LONGEST_LEASE_SECONDS:
            raise InvalidRequest("lease_seconds is no number of seconds.", param="queue")
        return seconds

    @property
    def is_dead(self) -> bool:
        """It takes what could not be used."""
        return self.name.removesuffix(_FIFO).endswith(DEAD)

    def dead(self) -> Place:
        """The queue beside it for what could not be used."""
        stem = self.name.removesuffix(_FIFO)
        return self._named(stem + DEAD + self.name[len(stem) :])

    def _named(self, name: str) -> Place:
        shown = self.shown.removesuffix(self.name) + name
        return Place(self.scheme, name, self.address, self.host, shown, self.options)


def place_of(address: str) -> Place:
    """Raises InvalidRequest, which says what an address looks like."""
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise InvalidRequest(f"The address of a queue begins with one of {known}.", param="queue")
    options = tuple(parse_qsl(parts.query, keep_blank_values=True))
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme in _NAMED_BY_PATH:
        name = unquote(parts.path.strip("/")) or DEFAULT_NAME
        shown = f"{parts.scheme}://{host}/{name}"
    else:
        name = dict(options).get("queue") or DEFAULT_NAME
        shown = f"{parts.scheme}://{host}{parts.path.rstrip('/')}/{name}"
    if not host and parts.scheme != "unix":
        raise InvalidRequest(f"The address of a queue has no host: {shown}.", param="queue")
    others = urlencode([(key, value) for key, value in options if key not in _OURS])
    return Place(parts.scheme, name, parts._replace(query=others).geturl(), host, shown, options)
