"""Serving the page: its port, its token, and that no two servers hand out the questions of one SQLite file."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from starlette.types import ASGIApp

from pal_plugin.errors import ConfigError, OracleError
from pal_plugin.io import write_json
from pal_plugin.page.access import Access

_GRACE = 3  # seconds that requests under way may take when the server is asked to stop


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; whoever connects before the server runs waits for it.

    Args:
        host: a name or an address of this machine.
        port: 0 takes any that is free.

    Raises:
        ConfigError: the port is in use, out of range or reserved, or the host is none of this machine's.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"There is no port {port}", "Choose one from 1024 to 65535: --port 8080")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"The host {host!r} has no address ({error})", "Choose one of this machine's: --host 127.0.0.1"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that was killed can start again
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from error
    return listener


def make_access(
    listener: socket.socket, host: str, more_hosts: Sequence[str] = (), *, always_token: bool = False
) -> Access:
    """Return who may use a server: whoever is on this machine, or whoever has the token that is drawn here.

    Args:
        listener: from `listen`.
        host: as it was given.
        more_hosts: other names by which the server is called: behind a proxy, or of an alias.
        always_token: also where only this machine reaches the socket; others may work on it.

    Returns:
        Access with a token where the socket can be reached from elsewhere, directly or under one of those names.
    """
    address, port = listener.getsockname()[:2]
    names = frozenset(name.lower() for name in (host, *more_hosts))
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback and not more_hosts:
        return Access(port, names, secrets.token_urlsafe(32) if always_token else None)
    return Access(port, names | {socket.gethostname().lower()}, secrets.token_urlsafe(32))


def address(access: Access, listener: socket.socket) -> str:
    """Return the URL that opens the page, with the token where it needs one."""
    host = listener.getsockname()[0]
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{access.port}/" + ("" if access.token is None else f"?token={access.token}")


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGINT; requests under way are finished first.

    Args:
        app: from `make_app`.
        listener: from `listen`; closed at the end.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_GRACE,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it once it has finished
        uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def alone(store: Path, url: str) -> Iterator[None]:
    """Hold the right to serve an SQLite file; the system takes it back when the process dies.

    A second server on one file is most often a first one that was forgotten. A team that means it uses PostgreSQL.

    Args:
        store: the file; it need not exist yet.
        url: where the page is, for whoever comes second.

    Raises:
        OracleError: another process serves it; its address and number are named.
    """
    target = store.resolve()  # a link to the file is the file
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = target.with_name(f"{target.name}.serve.json")
    lock = FileLock(target.with_name(f"{target.name}.serve.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OracleError(
            f"The store {store} is served already{_by_whom(holder)}",
            "Open that page, or stop that server first; two servers on one store need PostgreSQL (--store postgresql://…)",
        ) from error
    try:
        write_json(holder, {"pid": os.getpid(), "address": url})
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _by_whom(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text(encoding="utf-8"))
        return f", at {told['address']} by process {told['pid']}"
    except (OSError, ValueError, LookupError, TypeError):
        return ""  # it has the lock and has not yet written who it is


def _unusable(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"The port {port} of {host} is in use by another program",
            f"Choose another: --port {port + 1 if port < 65535 else 8080}, or --port 0 for any that is free",
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"The port {port} is reserved for the system", "Choose one from 1024 on: --port 8080")
    return ConfigError(
        f"The server cannot listen on {host}, port {port}: {error.strerror}",
        "Choose an address of this machine: --host 127.0.0.1",
    )
