"""Real servers for tests, started from what Debian packages install, on free ports of the loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PostgresqlServer:
    """A PostgreSQL cluster in a folder of its own. It refuses to run as root, so as root it runs as `postgres`."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = free_port()
        self._databases = 0

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
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c fsync=off"
        )
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-w", "-l", f"{self._folder}/log", "-o", options, "start")

    def stop(self) -> None:
        """At once, as when the machine of the database goes away."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-w", "-m", "immediate", "stop")

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        server = ("-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres")
        self._run("psql", *server, "-qc", f"CREATE DATABASE {name}", "postgres")
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        prefix = ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()
        command = (*prefix, str(self._programs / program), *arguments)
        # Not captured through a pipe: the server would inherit it and keep it open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", check=False)
            output.seek(0)
            if done.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')}")


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
