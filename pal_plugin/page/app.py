"""The page's application: its files, its API, and one form for whatever goes wrong."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from pal_plugin.errors import PalError
from pal_plugin.page.access import Access, Guard
from pal_plugin.page.api import RefusedError, Room, routes

STATIC = Path(__file__).with_name("static")


def make_app(room: Room, access: Access) -> ASGIApp:
    """Return the application that serves `room` to whom `access` lets in, as ASGI 3."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)  # those pages load scripts from elsewhere
    app.include_router(routes(room))
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    for kind in (RefusedError, RequestValidationError, HTTPException, PalError):
        app.add_exception_handler(kind, _tell)
    return Guard(app, access)


async def _tell(_: Request, error: Exception) -> JSONResponse:
    """Say of whatever was refused or failed what it is and what mends it."""
    status, what, mend = _described(error)
    return JSONResponse({"error": what, "mend": mend}, status)


def _described(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, RefusedError):
        return error.status, error.error, error.mend
    if isinstance(error, RequestValidationError):
        # Where and what, never the value itself: it may be anything at all, and very long.
        first = error.errors()[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        return 422, f"{place}: {first['msg']}", "Reload the page"
    if isinstance(error, HTTPException):
        return error.status_code, error.detail, "Reload the page"
    if isinstance(error, PalError):  # the store cannot be written: locked for long, a full disk
        return 503, error.what, error.mend
    raise error
