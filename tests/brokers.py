"""Message brokers for tests: a real RabbitMQ, librdkafka's mock of Kafka, and moto's of SQS, each on the loopback."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers import START_SECONDS, free_port

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


class RabbitServer:
    """A RabbitMQ node in a folder of its own, with a port mapper of its own, that nobody else can reach."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._mapper_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(
            "vm_memory_high_watermark.absolute = 512MB\nloopback_users = none\nlog.console = false\n"
            "disk_free_limit.absolute = 1MB\n"
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Return when it takes connections."""
        environment = {
            **os.environ,
            "HOME": str(self._folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": "headgate@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        with (self._folder / "output").open("ab") as output:
            streams: dict[str, Any] = {"stdout": output, "stderr": output, "stdin": subprocess.DEVNULL}
            if self._mapper is None:
                self._mapper = subprocess.Popen(("epmd", "-port", str(self._mapper_port)), env=environment, **streams)
                _until_open(self._mapper_port, self._mapper)
            self._process = subprocess.Popen((RABBITMQ,), env=environment, start_new_session=True, **streams)
        _until_open(self.port, self._process)

    def stop(self) -> None:
        """At once, as when its machine goes away."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            _until_closed(self.port)

    def freeze(self) -> None:
        """It keeps its connections and does nothing, until it is stopped."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def close(self) -> None:
        """The node and its port mapper."""
        self.stop()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()


@contextlib.contextmanager
def rabbitmq() -> Iterator[RabbitServer | None]:
    """A running server, or None when the Debian package `rabbitmq-server` is missing."""
    if not RABBITMQ.exists() or shutil.which("epmd") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="headgate-rabbitmq-", ignore_cleanup_errors=True) as folder:
        server = RabbitServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.close()


class KafkaBroker:
    """librdkafka's mock cluster: brokers that speak Kafka's protocol over TCP and forget all when the process ends.

    It is asked through its C interface, because only that makes topics and lets a consumer group begin at once.
    """

    def __init__(self) -> None:
        import confluent_kafka

        (library,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*")
        self._library = ctypes.CDLL(str(library))
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        settings = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        for name, value in ((b"bootstrap.servers", b"127.0.0.1:1"), (b"log_level", b"0")):
            self._library.rd_kafka_conf_set(settings, name, value, None, 0)
        self._handle = ctypes.c_void_p(self._library.rd_kafka_new(0, settings, None, 0))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._handle, 1))
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def make_topic(self, name: str, partitions: int = 1) -> str:
        """Its address."""
        assert self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1) == 0
        # It answers a fetch when its time is over, not when a message comes, as Kafka does.
        quick = "fetch.wait.max.ms=10&session.timeout.ms=6000&heartbeat.interval.ms=300"
        return f"kafka://{self.servers}/{name}?{quick}"

    def refuse(self, name: str) -> None:
        """Nobody may use the topic: TOPIC_AUTHORIZATION_FAILED."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), 29)

    def stop(self) -> None:
        """It takes no connections; what it knows stays."""
        assert self._library.rd_kafka_mock_broker_set_down(self._cluster, 1) == 0

    def start(self) -> None:
        assert self._library.rd_kafka_mock_broker_set_up(self._cluster, 1) == 0


@contextlib.contextmanager
def sqs() -> Iterator[str]:
    """moto's server: the beginning of addresses of its queues, and their end."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="headgate-sqs-") as folder, (Path(folder) / "log").open("ab") as log:
        command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _until_open(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _until_closed(port: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(600):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.05)


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended at once with exit code {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not open port {port}")
