"""`pal oracle serve` as a process: killed and started again, twice on one store, on a port that is taken, beyond it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.oracle import Pairs
from pal_plugin.oracle.store import RelationStore
from pal_plugin.page.serve import address, listen, make_access
from pal_plugin.priors import save_features

SERVE = ["oracle", "serve", "--data", "digits", "--strategy", "grids"]


class Server:
    """A process that serves; `url` is what it printed."""

    def __init__(self, store: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "pal_plugin.cli", *SERVE, "--store", str(store), "--port", str(port), *options]
        for _ in range(40):
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            if line:
                break
            # Another program may have been given a killed server's port for a connection of its own.
            told = self.process.communicate()[1]
            assert "is in use by another program" in told, told
            time.sleep(0.5)
        assert "http://" in line, line
        self.url = line.split()[-1]
        self.port = int(re.search(r":(\d+)/", self.url)[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def state(self, annotator: str = "ann") -> dict[str, Any]:
        return self.client.get("/api/state", params={"annotator": annotator}).raise_for_status().json()

    def answer(self, question: dict[str, Any], annotator: str = "ann") -> httpx.Response:
        body = {
            "question": question["id"],
            "annotator": annotator,
            "related": question["candidates"][::5],
            "unsure": [],
        }
        return self.client.post("/api/answers", json=body | {"clicks": 2, "seconds": 0.5})

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*options: str, store: str = "answers.db", port: int = 0) -> Server:
        servers.append(Server(tmp_path / store, *options, port=port))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


def paragraph(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command said of its failure: one paragraph."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pal: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing(start, tmp_path):
    server, acknowledged = start(), []
    first = server.state("bob")["questions"]

    def work() -> None:
        try:
            while True:
                question = server.state()["questions"][0]
                server.answer(question).raise_for_status()
                acknowledged.append(question["id"])
        except httpx.HTTPError:
            pass  # killed

    thread = threading.Thread(target=work)
    thread.start()
    while len(acknowledged) < 10 and thread.is_alive():
        time.sleep(0.01)
    server.kill()
    thread.join()
    with RelationStore.open(tmp_path / "answers.db") as store:
        answered = [entry.id for entry in store.questions() if entry.state == "answered"]
    assert answered[: len(acknowledged)] == acknowledged
    assert len(answered) <= len(acknowledged) + 1  # one may have been written, and its reply lost

    again = start(port=server.port)
    assert again.state("bob")["questions"] == first
    state = again.state()
    assert state["progress"]["mine"]["questions"] == len(answered)
    assert state["questions"][0]["id"] > answered[-1]
    assert again.client.get(f"/api/images/{first[0]['anchor']}").status_code == 200  # under the same name
    question = state["questions"][0]
    assert again.answer(question).status_code == again.answer(question).status_code == 200


@pytest.mark.slow
def test_one_server_a_file(start, tmp_path, capsys):
    server = start()
    (tmp_path / "link.db").symlink_to(tmp_path / "answers.db")
    for name in ("answers.db", "link.db"):
        assert main([*SERVE, "--store", str(tmp_path / name), "--port", "0"]) == 2
        told = paragraph(capsys)
        assert f"127.0.0.1:{server.port}" in told
        assert str(server.process.pid) in told
        assert "postgresql" in told
    server.state()
    server.kill()
    assert start().state()["progress"]["components"] == 1437  # nothing of the dead one is in the way


@pytest.mark.slow
def test_the_active_strategy_is_told_one_image_of_each_class_once(start, tmp_path):
    labels = load_dataset("digits", "train").labels
    for _ in range(2):  # a server that is started again tells nothing more
        server = start("--strategy", "active")
        assert server.state()["progress"]["mine"]["questions"] == 0  # nobody is charged for it
        server.kill()
        with RelationStore.open(tmp_path / "answers.db") as store:
            (told,) = (entry for entry in store.questions() if entry.state == "answered")
        assert sorted(labels[np.unique([told.question.i, told.question.j])]) == list(range(10))
        assert np.asarray(told.relations).tolist() == [-1] * 45  # each pair of the ten


@pytest.mark.slow
def test_ctrl_c_ends_it_well(start, tmp_path):
    server = start("--budget", "3")
    server.answer(server.state()["questions"][0]).raise_for_status()
    server.process.send_signal(signal.SIGINT)
    _, told = server.process.communicate(timeout=20)
    assert server.process.returncode == 0
    assert "Nothing is lost" in told
    assert "Traceback" not in told, told
    assert not list(tmp_path.glob("*.json"))
    with RelationStore.open(tmp_path / "answers.db") as store:
        assert store.account().questions == 1


@pytest.mark.slow
def test_beyond_this_machine_a_token_is_asked_for(start):
    server = start("--host", "0.0.0.0", "--allow-host", "annotate.example")
    token = re.search(r"/\?token=([\w-]{43})$", server.url)[1]
    get = server.client.get
    for path in ("/", "/app.js", "/api/state?annotator=ann", "/api/images/" + "0" * 32):
        assert get(path).status_code == 401
    assert get("/", params={"token": token[:-1]}).status_code == 401
    assert get("/", params={"token": token}, headers={"host": "evil.example"}).status_code == 403
    assert get("/", params={"token": token}, headers={"host": "annotate.example"}).status_code == 200
    assert get("/", params={"token": token}).status_code == 200  # the cookie is kept from here on
    assert "<html" in get("/").text
    server.answer(server.state()["questions"][0]).raise_for_status()


@pytest.mark.slow
def test_on_a_shared_machine_a_token_is_asked_for(start):
    server = start("--token")
    token = re.search(r"^http://127\.0\.0\.1:\d+/\?token=([\w-]{43})$", server.url)[1]
    for path in ("/", "/app.js", "/api/state?annotator=ann", "/api/images/" + "0" * 32):
        assert server.client.get(path).status_code == 401
    tunnel = {"host": "localhost:9999"}  # `ssh -L 9999:localhost:…`
    assert server.client.get("/", params={"token": token}, headers=tunnel).status_code == 200
    assert server.client.get("/api/state?annotator=ann", headers=tunnel).status_code == 200
    server.answer(server.state()["questions"][0]).raise_for_status()


@pytest.mark.slow
def test_rubbish_on_the_wire(start):
    """What no client library sends: the server answers or hangs up, and goes on."""
    server = start()
    requests = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}",
        b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{}",
        b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /api/state?annotator=ann HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nOrigin: http://evil.example\r\n\r\n",
    ]
    for request in requests:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                reply = b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionError:
                reply = b""
        if reply and b"<!doctype" not in reply:
            assert re.match(rb"HTTP/1.1 4\d\d", reply), (request[:80], reply[:200])
        assert b"root:" not in reply
    assert server.client.get("/").status_code == 200
    server.process.send_signal(signal.SIGINT)
    _, told = server.process.communicate(timeout=20)
    assert "Traceback" not in told, told


def test_a_port_that_is_taken(tmp_path, capsys):
    with closing(listen("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main([*SERVE, "--store", str(tmp_path / "answers.db"), "--port", str(port)]) == 2
    told = paragraph(capsys)
    assert f"port {port}" in told
    assert "--port" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "no port 70000"),
        (["--host", "no such host"], "no such host"),
        (["--host", "192.0.2.1"], "192.0.2.1"),  # TEST-NET: no machine has it
        (["--subset", "1"], "two samples"),
        (["--budget", "0"], "budget"),
        (["--grid", "0"], "grid"),
        (["--overlap", "2"], "overlap"),
        (["--per-click", "-1"], "per_click"),
        (["--per-second", "nan"], "per_second"),
        (["--strategy", "mergin"], "did you mean"),
        (["--order", "nothing.csv"], "nothing.csv"),
        (["--features", "nothing"], "nothing"),
    ],
)
def test_bad_arguments_end_in_a_paragraph(tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert main([*SERVE, "--store", "answers.db", "--port", "0", *options]) == 2
    assert words in paragraph(capsys)


def test_features_and_stores_of_other_data(tmp_path, capsys):
    other = load_dataset("digits", "test")
    save_features(tmp_path / "features", np.ones((len(other), 3), dtype=np.float32), other.manifest, {})
    RelationStore.create(tmp_path / "other.db", other.manifest).close()
    options = ["--store", str(tmp_path / "answers.db"), "--port", "0", "--features", str(tmp_path / "features")]
    assert main([*SERVE, *options]) == 2
    assert "indexes digits/test" in paragraph(capsys)
    assert main([*SERVE, "--store", str(tmp_path / "other.db"), "--port", "0"]) == 2
    assert "indexes digits/test" in paragraph(capsys)


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_stores(tmp_path, capsys, content):
    (tmp_path / "answers.db").write_bytes(content)
    status = main([*SERVE, "--store", str(tmp_path / "answers.db"), "--port", "70000" if not content else "0"])
    assert status == 2
    paragraph(capsys)


def test_contradictions_that_are_refused(tmp_path, capsys):
    with RelationStore.create(tmp_path / "answers.db", load_dataset("digits", "train").manifest) as store:
        for sign in (1, -1):
            store.record(Pairs([0], [1]), [sign], annotator="ann", source="test")
    assert main([*SERVE, "--store", str(tmp_path / "answers.db"), "--port", "0", "--policy", "refuse"]) == 2
    assert "contradict" in paragraph(capsys)


def test_the_active_strategy_needs_labels(tmp_path, capsys):
    images = np.zeros((5, 4, 4, 3), dtype=np.uint8)
    images[:] = np.arange(5)[:, None, None, None]
    np.savez(tmp_path / "images.npz", images=images)
    options = ["--root", str(tmp_path / "images.npz"), "--store", str(tmp_path / "answers.db"), "--port", "0"]
    assert main(["oracle", "serve", "--data", "arrays", *options, "--strategy", "active"]) == 2
    assert "merging" in paragraph(capsys)


def test_help_imports_nothing_heavy():
    code = (
        "import sys, pal_plugin.cli; print(*{'torch', 'numpy', 'fastapi', 'uvicorn', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("host", "more", "token"),
    [("127.0.0.1", [], False), ("localhost", [], False), ("0.0.0.0", [], True), ("127.0.0.1", ["proxy.example"], True)],
)
def test_a_token_wherever_others_can_reach_the_page(host, more, token):
    with closing(listen(host, 0)) as listener:
        access = make_access(listener, host, more)
        assert (access.token is not None) == token
        assert address(access, listener).endswith(f":{access.port}/" + (f"?token={access.token}" if token else ""))
        assert access.names >= {host, *more}
        if token:
            assert make_access(listener, host, more).token != access.token


def test_ipv6():
    try:
        with closing(socket.socket(socket.AF_INET6)) as bare:  # not by our own code, whose faults this is to find
            bare.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with closing(listen("::1", 0)) as listener:
        access = make_access(listener, "::1")
        assert access.token is None
        assert address(access, listener) == f"http://[::1]:{access.port}/"


def test_who_holds_a_store_is_told_by_a_file_that_may_be_missing(tmp_path):
    from pal_plugin.errors import OracleError
    from pal_plugin.page.serve import alone

    holder = tmp_path / "answers.db.serve.json"
    with alone(tmp_path / "answers.db", "http://127.0.0.1:1/"):
        assert json.loads(holder.read_text()) == {"pid": os.getpid(), "address": "http://127.0.0.1:1/"}
        for content in (None, "{", "[]", "{}"):
            holder.unlink(missing_ok=True)
            if content is not None:
                holder.write_text(content)
            with pytest.raises(OracleError, match="served already"), alone(tmp_path / "answers.db", ""):
                pass
    with alone(tmp_path / "answers.db", "http://127.0.0.1:2/"):
        pass
