"""The page's API: what it shows, what it takes, and that rubbish is refused politely."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pal_plugin.data import ImageDataset, load_dataset
from pal_plugin.oracle import Pairs, Prices, RandomGrids, RandomPairs, make_strategy
from pal_plugin.oracle.desk import Desk
from pal_plugin.oracle.store import RelationStore
from pal_plugin.page.access import LARGEST_BODY, Access
from pal_plugin.page.api import Room
from pal_plugin.page.app import make_app
from pal_plugin.page.images import Pictures

ORIGIN = "http://127.0.0.1:8080"


@dataclass
class Site:
    """The application of a store, and a client of it."""

    store: RelationStore
    dataset: ImageDataset
    pictures: Pictures
    client: TestClient

    def state(self, annotator: str = "ann") -> dict[str, Any]:
        answer = self.client.get("/api/state", params={"annotator": annotator})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sample(self, name: str) -> int:
        found = self.pictures.sample(name)
        assert found is not None
        return found

    def truth(self, question: dict[str, Any]) -> list[str]:
        label = self.dataset.labels[self.sample(question["anchor"])]
        return [name for name in question["candidates"] if self.dataset.labels[self.sample(name)] == label]

    def body(self, question: dict[str, Any], annotator: str = "ann", **more: Any) -> dict[str, Any]:
        body = {"question": question["id"], "annotator": annotator, "related": self.truth(question), "unsure": []}
        return body | {"clicks": 3, "seconds": 1.5} | more

    def post(self, path: str, body: Any, **more: Any) -> Response:
        return self.client.post(f"/api/{path}", json=body, headers={"origin": ORIGIN}, **more)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", "train").subset(300, 0)


@pytest.fixture
def make_site(tmp_path: Path, digits: ImageDataset) -> Iterator[Callable[..., Site]]:
    """Make sites: `make_site(strategy, dataset=…, currency=…, and what a Desk takes)`."""
    opened = []

    def make(strategy=None, dataset: ImageDataset = digits, currency: str = "", **options: Any) -> Site:
        store = RelationStore.ensure(tmp_path / "answers.db", dataset.manifest)
        opened.append(store)
        pictures = Pictures(dataset, store.secret)
        desk = Desk(store, strategy or RandomGrids(6), **options)
        room = Room(desk, pictures, dataset.name, dataset.split, len(dataset), currency)
        return Site(store, dataset, pictures, TestClient(make_app(room, Access(8080)), base_url=ORIGIN))

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def site(make_site) -> Site:
    return make_site()


def refused(answer: Response, status: int) -> bool:
    told = answer.json()
    return answer.status_code == status and set(told) == {"error", "mend"} and all(map(str.strip, told.values()))


def test_a_state_is_all_that_the_page_shows(site):
    state = site.state()
    assert state["dataset"] == {"name": "digits", "split": "train", "size": 300}
    assert (state["annotator"], state["done"], state["budget"], state["cost"]) == ("ann", None, None, None)
    assert (state["agreement"], state["contradictions"], state["can_undo"]) == (None, 0, False)
    assert [set(question) for question in state["questions"]] == 2 * [
        {"id", "kind", "anchor", "candidates", "again", "before"}
    ]
    assert set(state["progress"]) == {
        *("questions", "grids", "clicks", "answers", "unsure", "skipped", "seconds"),
        *("related", "unrelated", "known_share", "components", "mine"),
    }
    assert set(state["progress"]["mine"]) == {"questions", "answers", "seconds"}
    assert site.state() == state


def test_a_grid_is_answered(site):
    current, following = site.state()["questions"]
    assert (current["kind"], len(current["candidates"])) == ("grid", 6)
    doubted, related = current["candidates"][0], current["candidates"][1:3]
    answer = site.post("answers", site.body(current, related=related, unsure=[doubted]))
    assert answer.status_code == 200
    state = answer.json()
    assert state["questions"][0] == following
    assert len(state["questions"]) == 2
    entry = site.store.entry(current["id"])
    assert entry.relations.tolist() == [0, 1, 1, -1, -1, -1]
    assert [site.pictures.name(sample) for sample in entry.question.j.tolist()] == current["candidates"]
    assert (entry.annotator, entry.clicks, entry.seconds) == ("ann", 3, 1.5)
    assert state["progress"]["mine"] == {"questions": 1, "answers": 5, "seconds": 1.5}
    assert state["can_undo"]


def test_a_pair_is_answered(make_site):
    site = make_site(RandomPairs(0))
    question = site.state()["questions"][0]
    assert (question["kind"], len(question["candidates"])) == ("pair", 1)
    assert site.post("answers", site.body(question, related=question["candidates"])).status_code == 200
    assert site.store.entry(question["id"]).relations.tolist() == [1]


def test_an_answer_may_come_twice_and_not_otherwise(site):
    question = site.state()["questions"][0]
    first = site.post("answers", site.body(question))
    assert site.post("answers", site.body(question)).json() == first.json()
    other = [name for name in question["candidates"] if name not in site.truth(question)]
    assert refused(site.post("answers", site.body(question, related=other)), 409)
    assert refused(site.post("skip", {"question": question["id"], "annotator": "ann", "seconds": 1}), 409)


def test_the_question_of_another_is_refused(site):
    mine, theirs = site.state("ann")["questions"], site.state("bob")["questions"]
    assert not {question["id"] for question in mine} & {question["id"] for question in theirs}
    assert refused(site.post("answers", site.body(theirs[0], "ann")), 409)
    assert refused(site.post("skip", {"question": theirs[0]["id"], "annotator": "ann", "seconds": 0}), 409)
    assert site.store.entry(theirs[0]["id"]).state == "open"


def test_skip_and_undo(site):
    current, following = site.state()["questions"]
    skip = {"question": current["id"], "annotator": "ann", "seconds": 2}
    state = site.post("skip", skip).json()
    assert site.post("skip", skip).json() == state
    assert (state["questions"][0], state["progress"]["skipped"]) == (following, 1)
    half = site.body(following, related=following["candidates"][:2], unsure=following["candidates"][2:3])
    site.post("answers", half)
    state = site.post("undo", {"annotator": "ann"}).json()
    back = state["questions"][0]
    assert back["before"] == {"related": half["related"], "unsure": half["unsure"]}
    assert (back["candidates"], back["anchor"]) == (following["candidates"], following["anchor"])
    assert back["id"] != following["id"]
    state = site.post("undo", {"annotator": "ann"}).json()
    assert [question["before"] for question in state["questions"]] == [None, back["before"]]
    assert not state["can_undo"]
    assert site.post("undo", {"annotator": "ann"}).json() == state


def test_undo_sent_again_takes_back_nothing_more(site):
    first = site.state()["questions"][0]
    second = site.post("answers", site.body(first)).json()["questions"][0]
    state = site.post("answers", site.body(second)).json()
    assert state["last"] == second["id"]
    body = {"annotator": "ann", "question": second["id"]}
    state = site.post("undo", body).json()
    assert state["last"] == first["id"]
    assert site.post("undo", body).json() == state
    assert refused(site.post("undo", body | {"annotator": "bob"}), 409)
    assert refused(site.post("undo", body | {"question": state["questions"][0]["id"]}), 409)  # it is open
    assert refused(site.post("undo", body | {"question": 99}), 404)
    assert refused(site.post("undo", body | {"question": "1"}), 422)
    assert site.state() == state


def test_contradictions_cost_and_agreement_are_shown(make_site):
    site = make_site(RandomGrids(3), overlap=1.0, prices=Prices(per_click=0.25, per_second=1.0), currency="€")
    question = site.state()["questions"][0]
    state = site.post("answers", site.body(question)).json()
    assert state["cost"] == {"total": 0.25 * 3 + 1.5, "currency": "€"}
    theirs = site.state("bob")["questions"][0]
    assert theirs["candidates"] == question["candidates"]
    other = [name for name in question["candidates"] if name not in site.truth(question)]
    state = site.post("answers", site.body(theirs, "bob", related=other)).json()
    assert state["agreement"]["pairs"] == 3
    assert state["agreement"]["agree"] == 0.0
    assert state["contradictions"] == 3
    seen = [question["again"] for question in site.state("eve")["questions"]]
    assert seen == [True, True]


def test_undo_passes_over_what_the_page_cannot_show(make_site):
    site = make_site()
    site.store.record(Pairs([2, 4], [3, 5]), [1, -1], annotator="ann", source="answers.csv")
    state = site.state()
    assert (state["can_undo"], state["last"]) == (False, None)
    back = site.post("undo", {"annotator": "ann"}).json()
    assert back["questions"] == state["questions"]
    assert site.post("undo", {"annotator": "ann", "question": 1}).status_code == 409
    assert site.store.states()["undone"] == 0


def test_an_answer_is_kept_where_the_stores_answers_are_refused(make_site):
    """503 and not 409: the page sends it again once they are undone, which is not its own fault to mend."""
    site = make_site(policy="refuse")
    [question, _] = site.state()["questions"]
    for relation in (1, -1):
        site.store.record(Pairs([0], [1]), [relation], annotator="bob", source="test")
    told = site.post("answers", site.body(question))
    assert told.status_code == 503
    assert "contradict" in told.json()["error"]
    assert site.store.entry(question["id"]).state == "open"
    site.store.undo("bob")
    assert site.post("answers", site.body(question)).status_code == 200
    assert site.store.entry(question["id"]).state == "answered"


def test_the_budget_ends_it(make_site):
    site = make_site(budget=2)
    for _ in range(2):
        state = site.post("answers", site.body(site.state()["questions"][0])).json()
    assert state["questions"] == []
    assert "2" in state["done"]["reason"]
    assert state["budget"] == 2
    assert site.state("bob")["questions"] == []


def test_questions_of_another_program_are_shown(site):
    number = site.store.ask(Pairs([3], [4]), source="a program")
    question = site.state()["questions"][0]
    assert (question["id"], question["kind"]) == (number, "pair")


def test_a_question_that_another_process_drew_can_be_answered(site, tmp_path):
    with RelationStore.open(tmp_path / "answers.db") as other:
        question = Desk(other, RandomGrids(6)).next("ann")
        names = [site.pictures.name(sample) for sample in question.question.j.tolist()]
        body = {"question": question.id, "annotator": "ann", "related": names[:1], "unsure": []}
        assert site.post("answers", body | {"clicks": 0, "seconds": 0}).status_code == 200
        assert other.entry(question.id).relations.tolist() == [1, -1, -1, -1, -1, -1]


def test_two_annotators_at_once_lose_nothing(site):
    each, problems = 12, []

    def work(name: str) -> None:
        try:
            for _ in range(each):
                question = site.state(name)["questions"][0]
                assert site.post("answers", site.body(question, name)).status_code == 200
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    answers = site.store.answers()
    assert len({*zip(answers.a.tolist(), answers.b.tolist(), strict=True)}) == len(answers.a) == 2 * each * 6
    assert site.state("ann")["progress"]["questions"] == 2 * each


def test_answering_takes_no_time(make_site):
    dataset = load_dataset("digits", "train")
    features = dataset.images[..., 0].reshape(len(dataset), -1).astype(np.float32)
    site = make_site(make_strategy("merging", len(dataset), grid=12), dataset, features=features)
    state, took = site.state(), []
    for _ in range(20):
        body = site.body(state["questions"][0])
        started = time.process_time()  # of all threads here; others use this machine too
        state = site.post("answers", body).json()
        took.append(time.process_time() - started)
    assert np.median(took) < 0.05


def png(answer: Response) -> Image.Image:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    return Image.open(io.BytesIO(answer.content))


def test_a_picture_is_the_sample(site):
    question = site.state()["questions"][0]
    answer = site.client.get(f"/api/images/{question['anchor']}")
    np.testing.assert_array_equal(np.asarray(png(answer)), site.dataset.images[site.sample(question["anchor"])])
    assert "immutable" in answer.headers["cache-control"]
    assert "private" in answer.headers["cache-control"]
    assert png(site.client.get(f"/api/images/{question['anchor']}?size=4")).size == (4, 4)


@pytest.mark.parametrize("size", ["0", "-1", "1025", "1e9", "x", "", "NaN"])
def test_sizes_that_are_none(site, size):
    name = site.pictures.name(0)
    assert refused(site.client.get(f"/api/images/{name}", params={"size": size}), 422)


@pytest.mark.parametrize(
    "name", ["0", "f" * 32, "..%2F..%2F..%2Fetc%2Fpasswd", "digits%2F0001", "%00", "A" * 5000, "%F0%9F%98%80", "'--"]
)
def test_pictures_that_are_none(site, name):
    assert refused(site.client.get(f"/api/images/{name}"), 404)


def test_names_of_pictures_give_nothing_away(make_site, digits, tmp_path):
    site = make_site()
    names = [site.pictures.name(sample) for sample in range(len(digits))]
    assert len(set(names)) == len(names)
    reopened = make_site()  # the pictures that a browser has kept stay good
    assert names == [reopened.pictures.name(sample) for sample in range(len(digits))]
    with RelationStore.create(tmp_path / "other.db", digits.manifest) as other:
        assert not set(names) & {Pictures(digits, other.secret).name(sample) for sample in range(len(digits))}
    text = json.dumps(site.state())
    assert "digits/" not in text  # as ids begin


@pytest.fixture
def folder(tmp_path: Path) -> ImageDataset:
    """Images of other sizes and kinds in files, whose paths tell the class; one is damaged, one is empty."""
    generator = np.random.default_rng(0)
    for number, (kind, size) in enumerate([("L", (40, 30)), ("RGB", (3000, 10)), ("P", (5, 7)), ("LA", (64, 64))]):
        pixels = Image.fromarray(generator.integers(256, size=(size[1], size[0]), dtype=np.uint8))
        path = tmp_path / "images" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels.convert(kind).save(path)
    whole = (tmp_path / "images" / "class0" / "0.png").read_bytes()
    (tmp_path / "images" / "class0" / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images" / "class1" / "none.png").write_bytes(b"")
    return load_dataset("folder", "train", root=tmp_path / "images")


def test_images_in_files_of_any_kind(make_site, folder):
    site = make_site(RandomGrids(3), folder)
    sizes = {}
    for sample, name in enumerate(folder.ids):
        answer = site.client.get(f"/api/images/{site.pictures.name(sample)}", params={"size": 500})
        if "half" in name or "none" in name:
            assert refused(answer, 422)
            assert "class" not in answer.text  # the path would tell it
            assert "half" not in answer.text
        else:
            sizes[name] = png(answer).size
    assert sizes == {
        "class0/0.png": (40, 30),
        "class0/2.png": (5, 7),
        "class1/1.png": (500, 2),
        "class1/3.png": (64, 64),
    }
    question = site.state()["questions"][0]
    skip = {"question": question["id"], "annotator": "ann", "seconds": 1}
    assert site.post("skip", skip).status_code == 200


def test_a_file_that_has_gone(make_site, folder, tmp_path):
    site = make_site(RandomGrids(3), folder)
    (tmp_path / "images" / "class0" / "0.png").unlink()
    assert refused(site.client.get(f"/api/images/{site.pictures.name(folder.ids.index('class0/0.png'))}"), 422)


BAD_NAMES = [
    "",
    " ",
    "a" * 65,
    "<b>",
    "a/b",
    "a\nb",
    "a\x00",
    " a",
    "a ",
    "a\n",
    "\ud800",
    "é\u0301",
    "a'b",
    "seeds",
    None,
    3,
    ["a"],
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_none(site, name):
    body = json.dumps({"annotator": name})
    answer = site.client.post("/api/undo", content=body, headers={"content-type": "application/json"})
    assert refused(answer, 422)
    if isinstance(name, str) and name.isprintable():
        assert refused(site.client.get("/api/state", params={"annotator": name}), 422)
    assert not site.store.questions()


@pytest.mark.parametrize("name", ["a", "a" * 64, "Zoë", "李雷", "ann.b_c@d-e f", "7"])
def test_names_that_are_names(site, name):
    assert site.state(name)["annotator"] == name


def changed(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: body | values


BAD_ANSWERS: dict[str, tuple[Callable[[dict[str, Any]], Any], int]] = {
    "nothing": (lambda body: None, 422),
    "a list": (lambda body: [body], 422),
    "a number": (lambda body: 3, 422),
    "no question": (lambda body: {key: body[key] for key in body if key != "question"}, 422),
    "another field": (changed(admin=True), 422),
    "a question as text": (changed(question="1"), 422),
    "a truth value": (changed(question=True), 422),
    "a fraction": (changed(question=1.5), 422),
    "question 0": (changed(question=0), 422),
    "a huge question": (changed(question=2**31), 422),
    "a still larger one": (changed(question=10**300), 422),
    "an unknown question": (changed(question=2**31 - 1), 404),
    "a picture that is none": (changed(related=["f" * 32]), 422),
    "a path": (changed(related=["../../etc/passwd"]), 422),
    "one twice": (lambda body: body | {"related": body["unsure"] + body["unsure"]}, 422),
    "selected and not sure": (lambda body: body | {"related": body["unsure"]}, 422),
    "pictures as text": (changed(related="f" * 32), 422),
    "nested": (changed(related=[["f" * 32]]), 422),
    "too many": (changed(related=["f" * 32] * 1001), 422),
    "negative clicks": (changed(clicks=-1), 422),
    "clicks as text": (changed(clicks="3"), 422),
    "too many clicks": (changed(clicks=10**9), 422),
    "negative seconds": (changed(seconds=-0.1), 422),
    "endless seconds": (changed(seconds=float("inf")), 422),
    "seconds that are no number": (changed(seconds=float("nan")), 422),
    "seconds as text": (changed(seconds="1"), 422),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_answers_that_are_none(site, name):
    change, status = BAD_ANSWERS[name]
    question = site.state()["questions"][0]
    body = change(site.body(question, related=[], unsure=question["candidates"][:1]))
    headers = {"content-type": "application/json", "origin": ORIGIN}
    assert refused(site.client.post("/api/answers", content=json.dumps(body), headers=headers), status)
    assert site.store.entry(question["id"]).state == "open"
    assert site.post("answers", site.body(question)).status_code == 200


def test_the_anchor_is_no_candidate(site):
    question, following = site.state()["questions"]
    assert refused(site.post("answers", site.body(question, related=[question["anchor"]])), 422)
    assert refused(site.post("answers", site.body(question, related=following["candidates"][:1])), 422)


RUBBISH = [
    b"",
    b"{",
    b"null",
    b"\xff\xfe",
    b'"\xed\xa0\x80"',
    b"[" * 20000,
    b'{"question":' + b"9" * 6000 + b"}",
    b'{"annotator": "\\ud800"}',
    b'{"annotator": NaN}',
    b'{"question": 1, "question": 2}',
    b"annotator=ann",
]


@pytest.mark.parametrize("path", ["answers", "skip", "undo"])
@pytest.mark.parametrize("body", RUBBISH)
def test_rubbish_is_refused(site, path, body):
    answer = site.client.post(f"/api/{path}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert refused(answer, answer.status_code)
    assert len(answer.text) < 1000  # what was sent is not sent back


def test_a_huge_body_is_refused(site):
    for content in (b" " * (LARGEST_BODY + 1), (b" " * 1000 for _ in range(100))):  # with a length, and without
        answer = site.client.post("/api/answers", content=content, headers={"content-type": "application/json"})
        assert refused(answer, 413)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "question": st.integers(-2, 5) | ANYTHING,
        "annotator": st.sampled_from(["ann", "bob"]) | ANYTHING,
        "related": st.lists(st.text("0123456789abcdef", min_size=30, max_size=34), max_size=3) | ANYTHING,
        "unsure": st.just([]) | ANYTHING,
        "clicks": st.integers(-1, 3) | ANYTHING,
        "seconds": st.floats(-1, 3) | ANYTHING,
    },
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["answers", "skip", "undo"]), body=FIELDS | ANYTHING)
def test_whatever_is_posted_the_server_goes_on(site, path, body):
    text = json.dumps(body)  # NaN, infinities and lone surrogates included
    answer = site.client.post(f"/api/{path}", content=text, headers={"content-type": "application/json"})
    assert answer.status_code < 500
    assert answer.status_code == 200 or refused(answer, answer.status_code)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(max_size=40), query=st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3))
def test_whatever_is_got_the_server_goes_on(site, path, query):
    for start in ("/", "/api/", "/api/images/"):
        try:
            url = site.client.base_url.copy_with(raw_path=(start + path).encode("utf-8", "surrogatepass"))
        except Exception:
            continue  # no URL
        answer = site.client.get(url, params=query)
        assert answer.status_code < 500
