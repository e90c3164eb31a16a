"""What may go wrong while people answer: the server dies, replies are lost, another store is served."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Route, expect

pytestmark = pytest.mark.slow

Serve = Callable[..., Any]
Sit = Callable[..., Any]


def relations(entries: list[Any]) -> list[list[int]]:
    """The places of the candidates that were selected, of every question."""
    return [np.flatnonzero(entry.relations == 1).tolist() for entry in entries]


def test_a_killed_server_loses_nothing_and_the_page_goes_on(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "grids")
    somebody = person(server, "Ada")
    banner = somebody.page.locator("#banner")
    truths = []
    for _ in range(2):
        truths.append(somebody.truth())
        somebody.by_mouse()
    somebody.settle()
    somebody.page.wait_for_load_state("networkidle")

    server.kill()
    for _ in range(2):  # the question at hand, and the one after it, which is here already
        truths.append(somebody.truth())
        somebody.by_keys()
    expect(banner).to_contain_text("Not connected. 2 answers are kept here")
    expect(somebody.page.locator("#waiting")).to_be_visible()
    assert len(server.answered()) == 2

    server.start()
    somebody.wait()
    somebody.settle()
    expect(banner).to_be_empty()
    truths.append(somebody.truth())
    somebody.by_mouse()
    somebody.settle()
    assert relations(server.answered()) == truths


def test_answers_outlive_the_tab_and_are_never_given_to_another_store(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "grids")
    somebody = person(server, "Ada")
    truth = somebody.truth()
    server.kill()
    somebody.by_mouse()
    expect(somebody.page.locator("#banner")).to_contain_text("1 answer is kept here")
    other = somebody.context.new_page()
    somebody.page.close()

    server.start()
    other.goto(server.url)
    other.locator(".tile").first.wait_for()
    somebody.settle(other)
    assert relations(server.answered()) == [truth]

    server.kill()
    other.wait_for_timeout(300)
    other.locator("#send").click()
    expect(other.locator("#banner")).to_contain_text("1 answer is kept here")
    server.start("another.db")
    expect(other.locator("#toast")).to_contain_text("for another store")
    expect(other.locator("#banner")).to_be_empty()
    assert server.answered() == []


def rename(somebody: Any, old: str, new: str) -> None:
    somebody.page.get_by_role("button", name=f"Answering as {old}").click()
    somebody.page.get_by_label("Your name").fill(new)
    somebody.page.keyboard.press("Enter")


def test_an_answer_that_waits_under_another_name_brings_no_question_of_that_name(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "grids")
    somebody = person(server, "Ada")
    somebody.page.wait_for_load_state("networkidle")
    truths = [somebody.truth()]
    server.kill()
    somebody.by_keys()
    expect(somebody.page.locator("#banner")).to_contain_text("1 answer is kept here")
    rename(somebody, "Ada", "Bob")
    expect(somebody.page.locator("#undo")).to_be_disabled()  # Ada's answer is not Bob's to take back
    expect(somebody.page.locator("#banner")).to_contain_text("1 answer is kept here")

    server.start()
    expect(somebody.page.locator("#banner")).to_be_empty()
    somebody.settle()
    somebody.wait()
    expect(somebody.page.locator("#undo")).to_be_disabled()
    truths.append(somebody.truth())
    somebody.by_keys()
    somebody.settle()
    expect(somebody.page.locator("#undo")).to_be_enabled()
    expect(somebody.page.locator("#toast.error")).to_have_count(0)
    answered = sorted(server.answered(), key=lambda entry: entry.closed)
    assert [entry.annotator for entry in answered] == ["Ada", "Bob"]
    assert relations(answered) == truths


def test_undo_of_an_answer_that_never_left_takes_it_back_without_a_server(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "grids")
    somebody = person(server, "Ada")
    somebody.page.wait_for_load_state("networkidle")
    server.kill()
    somebody.page.keyboard.press("1")
    somebody.by_keys()
    expect(somebody.page.locator("#banner")).not_to_be_empty()
    question = (somebody.anchor(), somebody.candidates())
    somebody.page.keyboard.press("5")
    somebody.page.keyboard.press("Enter")
    somebody.page.keyboard.press("z")
    expect(somebody.page.locator("#toast")).to_have_text("Taken back.")
    assert (somebody.anchor(), somebody.candidates()) == question
    expect(somebody.page.locator(".tile").nth(4)).to_have_attribute("data-state", "same")
    server.start()
    somebody.settle()
    assert len(server.answered()) == 1
    assert (somebody.anchor(), somebody.candidates()) == question


def test_an_answer_whose_acknowledgement_is_lost_counts_once(served: Any, person: Sit) -> None:
    somebody = person(served, "Lossy")
    lost = []

    def lose(route: Route) -> None:
        route.fetch()  # the server has it
        lost.append(route.request.url)
        route.abort()

    somebody.page.route("**/api/answers", lose, times=1)
    truth = somebody.truth()
    somebody.by_mouse()
    expect(somebody.page.locator("#banner")).to_be_empty()
    somebody.settle()
    assert len(lost) == 1
    assert relations(somebody.mine()) == [truth]


@pytest.mark.parametrize("arrives", [True, False])
def test_an_undo_that_is_lost_on_either_way_takes_back_one_answer(served: Any, person: Sit, arrives: bool) -> None:
    somebody = person(served, f"Lossy undo {arrives}")
    for _ in range(3):
        somebody.by_mouse()
    somebody.settle()

    def lose(route: Route) -> None:
        if arrives:
            route.fetch()
        route.abort()

    somebody.page.route("**/api/undo", lose, times=1)
    with somebody.page.expect_request("**/api/undo"):
        somebody.page.keyboard.press("z")
    expect(somebody.page.locator("#banner")).to_contain_text("Not connected")
    expect(somebody.page.locator("#banner")).to_be_empty()
    somebody.settle()
    assert [entry.state for entry in somebody.mine()].count("answered") == 2


def test_a_question_answered_otherwise_in_a_second_tab_is_said_and_left(served: Any, person: Sit) -> None:
    first = person(served, "Tabs")
    second = first.context.new_page()
    second.goto(served.url)  # the name is known
    second.locator(".tile").first.wait_for()
    second.wait_for_timeout(300)
    first.tiles().nth(0).click()
    first.page.locator("#send").click()
    first.settle()
    second.locator(".pick").nth(1).click()
    second.locator("#send").click()
    expect(second.locator("#toast")).to_have_class("error")
    first.settle(second)
    assert relations(first.mine()) == [[0]]


RUBBISH = [
    ("answers", "{"),
    ("answers", "null"),
    ("answers", '{"question": 1}'),
    ("answers", '{"question": 1e400, "annotator": "R", "related": [], "unsure": [], "clicks": 1, "seconds": 1}'),
    ("answers", '{"question": 1, "annotator": "R", "related": ["../x"], "unsure": [], "clicks": 1, "seconds": 1}'),
    ("answers", '{"question": 1, "annotator": "<b>", "related": [], "unsure": [], "clicks": 1, "seconds": 1}'),
    ("answers", '{"question": 1, "annotator": "R", "related": [], "unsure": [], "clicks": -1, "seconds": NaN}'),
    ("answers", json.dumps({"question": 1, "annotator": "R" * 100_000})),
    ("skip", '{"question": 999999, "annotator": "R", "seconds": 1}'),
    ("undo", '{"annotator": ""}'),
]


def test_rubbish_is_refused_in_words_and_changes_nothing(served: Any, person: Sit) -> None:
    somebody = person(served, "Rubbish")
    before = [(entry.id, entry.state) for entry in served.questions()]
    for path, body in RUBBISH:
        status, told = somebody.page.evaluate(
            """async ([path, body]) => {
                const headers = { "Content-Type": "application/json" };
                const response = await fetch(`/api/${path}`, { method: "POST", headers, body });
                return [response.status, await response.json()];
            }""",
            [path, body],
        )
        assert 400 <= status < 500, body[:200]
        assert set(told) == {"error", "mend"}, body[:200]
        assert all(told.values()), body[:200]
    assert [(entry.id, entry.state) for entry in served.questions()] == before
    somebody.by_mouse()
    somebody.settle()
    assert len(somebody.mine()) == 1


def test_a_name_that_cannot_be_kept_is_refused_before_it_is_sent(served: Any, person: Sit) -> None:
    somebody = person(served, "Namer")
    somebody.page.get_by_role("button", name="Answering as Namer").click()
    field = somebody.page.get_by_label("Your name")
    expect(field).to_be_focused()
    field.fill("<script>")
    somebody.page.keyboard.press("Enter")
    expect(somebody.page.get_by_role("alert")).to_contain_text("Letters, digits")
    field.fill("Zoë  O.")
    somebody.page.keyboard.press("Enter")
    somebody.wait()
    expect(somebody.page.locator("#annotator")).to_have_text("Zoë O.")
