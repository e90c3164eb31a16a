"""Who may use the page: checks on every request before anything else sees it, and headers on every answer.

A page on 127.0.0.1 is within reach of every web site that its user visits: by DNS rebinding (a name of the attacker's
that resolves to 127.0.0.1), which the Host header gives away, and by requests from the attacker's own page, which
Origin and Sec-Fetch-Site give away. Beyond 127.0.0.1 a token is asked for as well.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 * 1024  # bytes; the answer to a grid of 500 has half of that
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = {
    # Everything that the page loads is its own: no other origin sees that it is used, nor can change what it does.
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
# Not a redirect: after a link in a mail or a chat the browser would follow it without the cookie, which is Strict.
_WELCOME = b'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/"><title>PAL</title>'


@dataclass(frozen=True)
class Refusal:
    """What a refused request is told: HTTP status, what is wrong, what mends it."""

    status: int
    error: str
    mend: str


@dataclass(frozen=True)
class Access:
    """Who may use a server.

    Attributes:
        port: that it listens on; part of the cookie's name, since a browser sends cookies to every port of a host.
        names: host names by which it may be called besides those of the loopback.
        token: what a browser has to bring; None where only this machine reaches the server.
    """

    port: int
    names: frozenset[str] = frozenset()
    token: str | None = None

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token."""
        return f"pal_{self.port}"

    def refusal(self, method: str, path: str, headers: dict[str, str]) -> Refusal | None:
        """Return why a request is refused, or None where it is let in.

        Args:
            method: in capitals.
            path: decoded.
            headers: by their names in small letters.
        """
        host = headers.get("host", "")
        if not self.is_called(host):
            mend = "Open the address that `pal oracle serve` printed, or name this host to it: --allow-host NAME"
            return Refusal(403, "The page is not served under this host name", mend)
        if "\0" in path:  # no file system takes it, and older Starlettes ask theirs
            return Refusal(404, "There is nothing of this name", "Open the address that `pal oracle serve` printed")
        if self.token is not None and not self._has_token(headers.get("cookie", "")):
            return Refusal(401, "The page asks for a token", "Open the address that `pal oracle serve` printed, whole")
        if _is_foreign(path, headers, host):
            return Refusal(403, "The request comes from another site", "Use the page itself")
        if method == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Refusal(415, "The body is not JSON", "Send JSON, with the header Content-Type: application/json")
        return None

    def is_key(self, query: str) -> bool:
        """Return whether a query string (`token=…`) brings the token."""
        return self.token is not None and _same(parse_qs(query).get("token", [""])[0], self.token)

    def is_called(self, host: str) -> bool:
        """Return whether a Host header names this server, or an address that is no name."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in _LOOPBACK_NAMES | self.names:
            return True
        return self.token is not None and _is_address(name)  # rebinding needs a name: an address cannot be rebound

    def _has_token(self, cookies: str) -> bool:
        """Return whether a Cookie header brings the token.

        By hand: browsers send the cookies of all programs on this host, and `http.cookies` stops at one it finds wrong.
        """
        pairs = (pair.strip().partition("=") for pair in cookies.split(";"))
        found = {name: value for name, _, value in pairs}
        return self.token is not None and _same(found.get(self.cookie, ""), self.token)


class Guard:
    """ASGI middleware: refuses what `access` refuses and bodies that are too large, and sets headers on every answer.

    Args:
        app: what is guarded.
        access: who may use it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await _body(receive)  # before any answer: a client that sends no HTTP has had one already
        except ClientDisconnect:
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        access = self._access

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_ours(message.get("headers", []))
            await send(message)

        at_the_door = scope["method"] == "GET" and scope["path"] == "/" and access.is_called(headers.get("host", ""))
        if at_the_door and access.is_key(scope["query_string"].decode("latin-1")):
            cookie = f"{access.cookie}={access.token}; HttpOnly; SameSite=Strict; Path=/"
            await _reply(send_safely, 200, _WELCOME, "text/html; charset=utf-8", {"set-cookie": cookie})
            return
        refusal = access.refusal(scope["method"], scope["path"], headers)
        if refusal is None and body is None:
            refusal = Refusal(413, f"The body has more than {LARGEST_BODY} bytes", "Send one answer at a time")
        if refusal is not None:
            text = json.dumps({"error": refusal.error, "mend": refusal.mend}).encode()
            await _reply(send_safely, refusal.status, text, "application/json", {})
            return
        await self._app(scope, _replay(body or b"", receive), send_safely)


def _is_foreign(path: str, headers: dict[str, str], host: str) -> bool:
    """Return whether another site's page sends this. A link to `/` from there is fine, all else is not."""
    if path != "/" and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False  # not from a browser's page: those send it with every POST
    try:
        return urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


async def _body(receive: Receive) -> bytes | None:
    """Return the body, or None where it is larger than `LARGEST_BODY`.

    Raises:
        ClientDisconnect: the client left, or sent what is no HTTP, before its end.
    """
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body, then whatever the client does next."""
    waiting = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": waiting.pop()} if waiting else await receive()

    return replay


async def _reply(send: Send, status: int, body: bytes, kind: str, more: dict[str, str]) -> None:
    headers = {"content-type": kind, "content-length": str(len(body)), **more}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers.items())})
    await send({"type": "http.response.body", "body": body})


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Add the headers that every answer has; what does not say how long it may be kept is asked for each time."""
    present = list(headers)
    if all(name != b"cache-control" for name, _ in present):
        present.append((b"cache-control", b"no-cache"))
    return present + _encoded(_HEADERS.items())


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
