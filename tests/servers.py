"""Real servers for tests, started from what Debian packages install, on free ports of the loopback."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FIRST_PORT, PORTS_OF_EACH, PROCESSES = 12_000, 2_500, 8  # below those that systems give out by themselves
START_SECONDS = 120.0
PATIENTLY = ("-w", "-t", f"{START_SECONDS:g}")  # of pg_ctl
_TURNS = itertools.count(random.randrange(PORTS_OF_EACH))


def free_port() -> int:
    """A port of the loopback that nobody else gets before it is used: each process that tests has ports of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for turn in itertools.islice(_TURNS, PORTS_OF_EACH):
        port = FIRST_PORT + worker % PROCESSES * PORTS_OF_EACH + turn % PORTS_OF_EACH
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


class PostgresqlServer:
    """A PostgreSQL cluster in a folder of its own. It refuses to run as root, so as root it runs as `postgres`."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = free_port()
        self._databases = 0
        self._has_template = False

    @staticmethod
    def programs() -> Path | None:
        """Where the newest installed version's programs are."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
        if not found or (os.getuid() == 0 and shutil.which("runuser") is None):
            return None
        return found[-1].parent

    def create(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", f"{self._folder}/data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")
        self.start()

    def start(self) -> None:
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} "
            "-c fsync=off -c full_page_writes=off -c autovacuum=off"  # nothing survives the tests; many databases
        )
        self._run(
            "pg_ctl", "-D", f"{self._folder}/data", *PATIENTLY, "-l", f"{self._folder}/log", "-o", options, "start"
        )

    def stop(self) -> None:
        """At once, as when the machine of the database goes away."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", *PATIENTLY, "-m", "immediate", "stop")

    def new_database(self) -> str:
        """The URL of a database with the tables of this release and no rows: a copy of one that was migrated."""
        if not self._has_template:
            _migrate(self._create("template"))
            self._has_template = True
        return self._create(self._next_name(), "TEMPLATE template")

    def empty_database(self) -> str:
        """The URL of a database without tables."""
        return self._create(self._next_name())

    def _next_name(self) -> str:
        self._databases += 1
        return f"test_{self._databases}"

    def _create(self, name: str, options: str = "") -> str:
        import psycopg  # not at the top: the environment of other people's clients has none

        server = f"postgresql://postgres@127.0.0.1:{self._port}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        return f"{server}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        prefix = ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()
        command = (*prefix, str(self._programs / program), *arguments)
        # Not captured through a pipe: the server would inherit it and keep it open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", check=False)
            output.seek(0)
            if done.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')}")


def _migrate(url: str) -> None:
    from sqlalchemy import create_engine, make_url

    from headgate.stores.migrations import migrate

    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


@contextlib.contextmanager
def postgresql() -> Iterator[PostgresqlServer | None]:
    """A running server, or None when the Debian package `postgresql` is missing."""
    programs = PostgresqlServer.programs()
    if programs is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="headgate-postgresql-") as folder:
        server = PostgresqlServer(programs, Path(folder))
        server.create()
        try:
            yield server
        finally:
            with contextlib.suppress(RuntimeError):
                server.stop()


class RedisServer:
    """A Redis server in a folder of its own, on a free port and a socket file, that keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = (
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)),
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder), *self._options),
        )
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError(f"redis-server did not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Not while it loads what it kept."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def stop(self) -> None:
        """At once; what it knew is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """It hangs: connections are taken, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """What redis-cli prints."""
        command = ("redis-cli", "-p", str(self.port), *words)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def redis(*options: str) -> Iterator[RedisServer | None]:
    """A running server, or None when the Debian package `redis-server` is missing."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="headgate-redis-") as folder:
        server = RedisServer(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
