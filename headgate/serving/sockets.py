"""Listening sockets: bound before anything else happens, so that a port in use is the first thing that is said."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import ExitStack

from headgate.errors import CannotListen

PORT_SETTING = "--port"


def bind_for_workers(host: str, port: int, workers: int) -> list[socket.socket]:
    """A socket for each worker, all on one address. Raises CannotListen.

    On Linux each has a queue of its own and the kernel spreads connections evenly over them; from a single shared queue
    the workers that wake first would take most. Elsewhere there is only the shared one.
    """
    first = bind(host, port)
    if workers == 1 or sys.platform != "linux":
        return [first] * workers
    host, port = first.getsockname()[:2]
    first.close()  # it was asked alone, because sockets that share an address would not notice a stranger there
    with ExitStack() as bound:
        sockets = [bound.enter_context(bind(host, port, shares_address=True)) for _ in range(workers)]
        bound.pop_all()
    return sockets


def bind(host: str, port: int, *, setting: str = PORT_SETTING, shares_address: bool = False) -> socket.socket:
    """A socket bound to an address (port 0: any free one) that does not accept yet. Raises CannotListen, which names
    the setting that says which port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise CannotListen(f"'{host}' is not an address of this machine. Check server.host or --host.") from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
    if shares_address:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise CannotListen(_sentence(error, host, port, setting)) from None
    bound.setblocking(False)
    return bound


def url_of(bound: socket.socket) -> str:
    """Where a client on this machine reaches the socket."""
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _sentence(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use. Stop what listens there, or choose another one with {setting}."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} needs more rights than this user has. Choose one above 1023 with {setting}."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"'{host}' is not an address of this machine. Check server.host or --host."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."
