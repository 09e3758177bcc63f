"""`headgate consume`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from urllib.parse import urlencode

import click
import msgspec

from headgate.commands.options import config_option
from headgate.serving.hired import ConsumeOptions
from headgate.serving.hired import consume as run

_KAFKA = "kafka://"


@click.command()
@click.option(
    "--from", "address", metavar="ADDRESS", required=True,
    help="The queue, as kafka://HOST:9092/TOPIC, amqp://HOST/?queue=NAME, sqs://REGION/NAME, redis://HOST/0?queue=NAME.",
)  # fmt: skip
@click.option("--tenant", metavar="NAME", help="Whose all messages are; default: each names its own.")
@click.option("--from-offset", type=click.IntRange(0), help="Kafka: begin there in every partition.")
@click.option("--from-time", metavar="TIME", help="Kafka: begin with messages of that time, such as 2026-11-01T06:00.")
@click.option(
    "--most-waiting", type=click.IntRange(1), default=10_000, show_default=True,
    help="Items: while so many wait for workers, no message is taken.",
)  # fmt: skip
@click.option("--work", "works", is_flag=True, help="Work on jobs too, as headgate work does.")
@config_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where /metrics, /healthz and /readyz are.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one.")
def consume(
    address: str,
    from_offset: int | None,
    from_time: str | None,
    config_path: str | None,
    **more: object,
) -> None:
    """Take requests from a queue of yours and make a job of each, until SIGTERM or ctrl-C.

    A message is acknowledged once its job is in the database, and never becomes two. What can never be a job is put
    aside with the reason: headgate dlq lists it, and the queue NAME-dead has it.
    """
    beginning = {name: value for name, value in (("from_offset", from_offset), ("from_time", _seconds(from_time)))
                 if value is not None}  # fmt: skip
    if beginning and not address.startswith(_KAFKA):
        raise click.UsageError("Only Kafka keeps what was taken: --from-offset and --from-time are for kafka:// alone.")
    if len(beginning) > 1:
        raise click.UsageError("Choose --from-offset or --from-time.")
    if beginning:
        address += ("&" if "?" in address else "?") + urlencode(beginning)
    options = msgspec.convert({"address": address, "config": config_path, **more}, ConsumeOptions)
    sys.exit(run(options, os.environ))


def _seconds(moment: str | None) -> float | None:
    if moment is None:
        return None
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        raise click.UsageError("--from-time is no time. Write e.g. 2026-11-01T06:00, which is meant in UTC.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
