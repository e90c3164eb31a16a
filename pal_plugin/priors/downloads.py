"""Weights that have to be downloaded, and what to say and how soon where they cannot be."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any

from pal_plugin.errors import DataError, PalError

OFFLINE = "lite0, hog, pixels, pca:64, checkpoint:PATH"
_PATIENCE_S = 10.0


@contextlib.contextmanager
def downloading(name: str, *, hub: bool = True) -> Iterator[None]:
    """Let a library bring the weights of a prior, and turn its failure into one paragraph, soon.

    Args:
        name: of the prior, as in its spec; with `?checkpoint=PATH` it takes weights from a file.
        hub: whether they may come from the Hugging Face hub.

    Raises:
        DataError: whatever the library raised; the priors that need no download are named.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE_S)  # torch.hub would wait for ever
    try:
        # torch.hub prints its progress where figures go
        with _hub_asked_once() if hub else contextlib.nullcontext(), contextlib.redirect_stdout(sys.stderr):
            yield
    except PalError:
        raise
    except Exception as error:  # three libraries with their own, over three HTTP clients
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"The weights of the prior {name} are not on this machine and could not be downloaded ({reason[:300]})",
            f"Use weights that you have ({name}?checkpoint=PATH), or a prior that downloads nothing: {OFFLINE}",
        ) from error
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _hub_asked_once() -> Iterator[None]:
    """Switch the Hugging Face client offline where the hub does not answer.

    Else it tries every file six times, for most of a minute, before it looks into its cache.
    """
    import huggingface_hub.constants
    import huggingface_hub.utils

    hub: Any = huggingface_hub.constants
    client: Any = huggingface_hub.utils
    before = hub.HF_HUB_OFFLINE
    if not before:
        try:
            client.get_session().head(hub.ENDPOINT, timeout=_PATIENCE_S)
        except Exception:  # of its HTTP client, which changed between versions
            hub.HF_HUB_OFFLINE = True  # the environment variable is read at import only
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before
