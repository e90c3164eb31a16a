from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def served(tmp_path) -> Iterator[str]:
    """The address at which a web server has the files in `tmp_path`."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
