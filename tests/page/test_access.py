"""Who is let in: hosts, origins, tokens, kinds and sizes of requests, and what every answer carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pal_plugin.data import load_dataset
from pal_plugin.oracle import RandomGrids
from pal_plugin.oracle.desk import Desk
from pal_plugin.oracle.store import RelationStore
from pal_plugin.page.access import Access
from pal_plugin.page.api import Room
from pal_plugin.page.app import STATIC, make_app
from pal_plugin.page.images import Pictures

LOCAL = "http://127.0.0.1:8080"
TOKEN = "a-token-that-nobody-guesses"
STATE = "/api/state?annotator=ann"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Make clients of the page under a base URL, with an Access."""
    dataset = load_dataset("digits", "train").subset(50, 0)
    with RelationStore.create(tmp_path / "answers.db", dataset.manifest) as store:
        room = Room(Desk(store, RandomGrids(4)), Pictures(dataset, store.secret), "digits", "train", 50)

        def make(base: str = LOCAL, access: Access | None = None) -> TestClient:
            return TestClient(make_app(room, access or Access(8080)), base_url=base)

        yield make


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("[::1]:8080", 200),
        ("localhost:9000", 200),  # through a tunnel of another port
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8080", 403),
        ("192.168.0.7:8080", 403),
        ("", 403),
        ("[", 403),
        ("[::1", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(client, host, status):
    for path in ("/", STATE, "/app.js"):
        answer = client().get(path, headers={"host": host})
        assert (answer.status_code == 403) == (status == 403)


def test_names_that_were_given_are_answered(client):
    access = Access(8080, frozenset({"annotate.example", "lab7"}), TOKEN)
    cookie = {"cookie": f"pal_8080={TOKEN}"}
    for host, status in (("annotate.example", 200), ("lab7:8080", 200), ("10.1.2.3:8080", 200), ("other.example", 403)):
        assert client(access=access).get(STATE, headers={"host": host, **cookie}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": LOCAL}, 200),
        ({"origin": LOCAL, "sec-fetch-site": "same-origin"}, 200),
        ({}, 200),  # no browser's page
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://localhost:8080"}, 403),  # another origin, though the same machine
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": LOCAL, "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/api/undo", STATE])
def test_other_sites_are_refused(client, headers, status, path):
    """Also to look: the state draws questions."""
    if path == STATE:
        answer = client().get(path, headers=headers)
    else:
        answer = client().post(path, json={"annotator": "ann"}, headers=headers)
    assert answer.status_code == status


def test_a_link_from_another_site_leads_to_the_page(client):
    assert client().get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp", "text/json"],
)
def test_only_json_is_taken(client, kind):
    """A form of another site can send all others without asking first."""
    answer = client().post("/api/undo", content=b'{"annotator": "ann"}', headers={"content-type": kind})
    assert (answer.status_code, set(answer.json())) == (415, {"error", "mend"})


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_has_several_spellings(client, kind):
    answer = client().post("/api/undo", content=b'{"annotator": "ann"}', headers={"content-type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "NONSENSE"])
@pytest.mark.parametrize("path", ["/api/answers", "/api/state", "/api/images/" + "0" * 32])
def test_other_methods_do_nothing(client, method, path):
    assert client().request(method, path).status_code in (404, 405)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/api/nothing", "/api", "/nothing.html"])
def test_there_is_nothing_else(client, path):
    answer = client().get(path)
    assert (answer.status_code, set(answer.json())) == (404, {"error", "mend"})


@pytest.mark.parametrize(
    "path",
    [
        "/../api.py",
        "/..%2fapi.py",
        "/%2e%2e/api.py",
        "/..%5capi.py",
        "/static/../../api.py",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/....//....//etc/passwd",
        "/app.js%00.html",
        "/" + "a" * 3000,
        "/%ff%fe",
    ],
)
def test_no_path_leads_out_of_the_page(client, path):
    site = client()
    answer = site.get(site.base_url.copy_with(raw_path=path.encode()))
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "pydantic" not in answer.text  # as in api.py


def test_every_answer_says_what_browsers_may_do(client):
    site = client()
    outside = site.get("/", headers={"host": "evil.example"})
    for answer in (site.get("/"), site.get(STATE), site.get("/nothing"), site.post("/api/undo"), outside):
        headers = answer.headers
        assert re.match(r"default-src 'self';", headers["content-security-policy"])
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-cache"
        assert len(headers.get_list("content-security-policy")) == 1
        assert "access-control-allow-origin" not in headers


def test_the_pages_files_name_no_other_host():
    """Anything from elsewhere would tell others that, and when, the page is used."""
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "")  # a name of SVG's, not an address
        assert not re.search(r"https?://|//\w+\.\w+/|@import", text), file.name


@pytest.fixture
def guarded(client) -> TestClient:
    return client("http://annotate.example:8080", Access(8080, frozenset({"annotate.example"}), TOKEN))


@pytest.mark.parametrize("path", ["/", "/app.js", STATE, "/api/images/" + "0" * 32])
@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "pal_8080=",
        "pal_8080=wrong",
        f"pal_8081={TOKEN}",
        f"pal_8080={TOKEN}x",
        f"pal_8080={TOKEN[:-1]}",
        "pal_8080=\xff",
        "=;;=;",
        f"x=pal_8080={TOKEN}",
        f"PAL_8080={TOKEN}",
        "a" * 5000,
    ],
)
def test_without_the_token_nothing_is_shown(guarded, path, cookie):
    answer = guarded.get(path, headers={"cookie": cookie.encode("latin-1")})
    assert (answer.status_code, set(answer.json())) == (401, {"error", "mend"})
    assert (
        guarded.post("/api/undo", json={"annotator": "ann"}, headers={"cookie": cookie.encode("latin-1")}).status_code
        == 401
    )


@pytest.mark.parametrize(
    "cookie",
    [
        f"pal_8080={TOKEN}",
        f'prefs={{"dark":true}}; pal_8080={TOKEN}',
        f"a b=1;pal_8080={TOKEN} ; x=[1, 2]",
        f'\xe9=1; u="a"b; path=x; pal_8081=other; pal_8080={TOKEN}',
    ],
)
def test_the_cookies_of_other_programs_on_the_host_hide_no_token(guarded, cookie):
    assert guarded.get(STATE, headers={"cookie": cookie.encode("latin-1")}).status_code == 200


@pytest.mark.parametrize(
    "query", ["token=", "token=wrong", "Token=" + TOKEN, "token=%ff", "token", "token=" + TOKEN[:-1]]
)
def test_wrong_tokens_open_nothing(guarded, query):
    answer = guarded.get(f"/?{query}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_the_token_is_exchanged_for_a_cookie(guarded):
    answer = guarded.get(f"/?token={TOKEN}")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie == f"pal_8080={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert 'http-equiv="refresh" content="0; url=/"' in answer.text  # the address bar forgets the token
    assert TOKEN not in answer.text
    assert guarded.get("/").status_code == 200
    assert guarded.get(STATE).status_code == 200
    origin = {"origin": "http://annotate.example:8080"}
    assert guarded.post("/api/undo", json={"annotator": "ann"}, headers=origin).status_code == 200
    assert (
        guarded.post("/api/undo", json={"annotator": "ann"}, headers={"origin": "http://evil.example"}).status_code
        == 403
    )


def test_the_token_opens_the_front_door_only(guarded):
    assert guarded.get(f"{STATE}&token={TOKEN}").status_code == 401
    assert guarded.get(f"/?token={TOKEN}", headers={"host": "evil.example"}).status_code == 403
