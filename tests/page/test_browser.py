"""People who answer on the page: by mouse, by keyboard, in pairs, with second thoughts, two at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.slow

Person = Served = Any  # those of conftest.py, which nothing can import
Serve = Callable[..., Any]
Sit = Callable[..., Any]


def assert_true(somebody: Person) -> None:
    """Every relation that this person gave agrees with the labels."""
    for entry in somebody.mine():
        assert entry.relations is not None
        labels = somebody.labels
        same = labels[entry.question.i] == labels[entry.question.j]
        np.testing.assert_array_equal(entry.relations, np.where(same, 1, -1))


def test_a_round_by_mouse_reaches_the_store_as_it_was_answered(served: Served, person: Sit) -> None:
    mouse = person(served, "Mouse")
    clicks = []
    for _ in range(6):
        clicks.append(len(mouse.truth()) + 1)
        mouse.by_mouse()
    mouse.settle()
    assert_true(mouse)
    assert [entry.clicks for entry in mouse.mine()] == clicks
    assert all(0.2 < entry.seconds < 30 for entry in mouse.mine())
    expect(mouse.page.locator("#figures")).to_contain_text("Your answers6")


def test_a_round_by_keyboard_alone_never_loses_the_focus(served: Served, person: Sit) -> None:
    keys = person(served, "Keys")
    for _ in range(6):
        assert keys.page.evaluate("document.activeElement.matches('.pick') && document.activeElement.tabIndex === 0")
        keys.by_keys()
    keys.settle()
    assert len(keys.mine()) == 6
    assert_true(keys)


def test_arrows_move_between_the_candidates_and_space_selects(served: Served, person: Sit) -> None:
    keys = person(served, "Arrows")
    columns = int(keys.page.locator("#candidates").evaluate("node => node.style.getPropertyValue('--columns')"))
    for key in ("ArrowRight", "ArrowDown", " ", "ArrowLeft", "u", "End", " ", "Home", "ArrowLeft", "ArrowUp"):
        keys.page.keyboard.press(key)
    expected = {columns + 1: "same", columns: "unsure", 11: "same"}
    states = [tile.get_attribute("data-state") for tile in keys.page.locator(".tile").all()]
    assert states == [expected.get(place, "") for place in range(12)]
    assert keys.page.evaluate("document.activeElement === document.querySelector('.pick')")  # there is no way beyond
    assert keys.tiles().nth(columns + 1).get_attribute("aria-pressed") == "true"
    assert keys.tiles().nth(columns).get_attribute("aria-label") == f"Candidate {columns + 1}, not sure"


def test_not_sure_is_neither_same_nor_different(served: Served, person: Sit) -> None:
    somebody = person(served, "Unsure")
    somebody.tiles().nth(0).click()
    somebody.doubts().nth(1).click()
    somebody.tiles().nth(2).click()
    somebody.doubts().nth(2).click()  # after a second thought
    somebody.page.locator("#send").click()
    somebody.settle()
    (entry,) = somebody.mine()
    assert entry.relations is not None
    np.testing.assert_array_equal(entry.relations, [1, 0, 0] + [-1] * 9)
    assert entry.clicks == 5


def test_skip_answers_nothing_and_does_not_come_back(served: Served, person: Sit) -> None:
    somebody = person(served, "Skipper")
    before = (somebody.anchor(), somebody.candidates())
    somebody.page.keyboard.press("s")
    somebody.wait()
    somebody.settle()
    (entry,) = somebody.mine()
    assert (entry.state, entry.relations) == ("skipped", None)
    assert (somebody.anchor(), somebody.candidates()) != before


def test_undo_brings_the_question_back_with_its_marks_and_the_new_answer_counts(served: Served, person: Sit) -> None:
    somebody = person(served, "Undoer")
    question = (somebody.anchor(), somebody.candidates())
    somebody.tiles().nth(3).click()
    somebody.page.locator("#send").click()
    somebody.settle()
    somebody.page.keyboard.press("z")
    expect(somebody.page.locator("#toast")).to_contain_text("Taken back")
    assert (somebody.anchor(), somebody.candidates()) == question
    expect(somebody.page.locator(".tile").nth(3)).to_have_attribute("data-state", "same")
    somebody.tiles().nth(3).click()
    somebody.tiles().nth(4).click()
    somebody.page.wait_for_timeout(300)
    somebody.page.locator("#send").click()
    somebody.settle()
    given = [entry for entry in somebody.mine() if entry.state == "answered"]
    assert [np.flatnonzero(entry.relations == 1).tolist() for entry in given] == [[4]]


def test_a_reload_in_the_middle_keeps_the_question_and_its_marks(served: Served, person: Sit) -> None:
    somebody = person(served, "Reloader")
    somebody.by_mouse()
    question = (somebody.anchor(), somebody.candidates())
    somebody.tiles().nth(1).click()
    somebody.doubts().nth(5).click()
    somebody.page.reload()
    somebody.wait()
    assert (somebody.anchor(), somebody.candidates()) == question
    states = [tile.get_attribute("data-state") for tile in somebody.page.locator(".tile").all()]
    assert states == ["", "same", "", "", "", "unsure", *[""] * 6]
    somebody.page.locator("#send").click()
    somebody.settle()
    assert [entry.clicks for entry in somebody.mine()][1:] == [3]


def test_a_double_click_on_send_answers_one_question(served: Served, person: Sit) -> None:
    somebody = person(served, "Double")
    somebody.page.locator("#send").dblclick(delay=20)
    somebody.settle()
    assert len(somebody.mine()) == 1


def test_pairs_are_answered_by_one_key_or_click(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "random", "--budget", "5")
    somebody = person(server, "Pairs")
    for key in ("y", "n", "u"):
        somebody.after(partial(somebody.page.keyboard.press, key))
    somebody.after(somebody.page.get_by_role("button", name="Same").click)
    somebody.page.get_by_role("button", name="Different").click()
    expect(somebody.page.get_by_role("heading", name="All done")).to_be_focused()
    somebody.settle()
    assert [entry.relations.tolist() for entry in somebody.mine()] == [[1], [-1], [0], [1], [-1]]
    assert {entry.clicks for entry in somebody.mine()} == {1}

    somebody.page.keyboard.press("z")  # there is a way back from the end
    expect(somebody.page.locator("#different")).to_have_class("before")
    somebody.page.wait_for_timeout(300)
    somebody.page.keyboard.press("y")
    expect(somebody.page.get_by_role("heading", name="All done")).to_be_visible()
    somebody.settle()
    assert [entry.relations.tolist() for entry in server.answered()] == [[1], [-1], [0], [1], [1]]
    assert server.stop() == 0


def test_a_contradiction_comes_back_as_a_pair_of_two_images_of_one_size(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "grids", "--overlap", "1", "--policy", "again")
    ada, ben = person(server, "Ada"), person(server, "Ben")
    page, question = ben.page, (ada.anchor(), ada.candidates())
    ada.page.keyboard.press("Enter")  # none of these
    ada.settle()
    for _ in range(6):  # some questions were drawn for Ben before
        if page.locator("body").get_attribute("data-kind") == "pair":
            break
        if (ben.anchor(), ben.candidates()) == question:
            page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        ben.settle()
        ben.wait()
    expect(page.get_by_role("heading", level=1)).to_have_text("Do these two show the same thing?")
    expect(page.locator("#again")).to_be_visible()
    boxes = [page.locator(picture).bounding_box() for picture in ("#anchor", ".pick")]
    assert boxes[0]["width"] == boxes[0]["height"] == boxes[1]["width"] == boxes[1]["height"] > 300
    assert boxes[0]["y"] == boxes[1]["y"]


def test_the_next_question_shows_before_the_server_has_heard_of_the_answer(served: Served, person: Sit) -> None:
    """Its images are there already: nothing can be fetched any more, and it shows at once."""
    somebody = person(served, "Fast")

    def milliseconds() -> float:
        somebody.page.wait_for_load_state("networkidle")
        somebody.page.context.set_offline(True)
        took, another, seen = somebody.page.evaluate(
            """async () => {
                const before = document.querySelector('#anchor img').src;
                const start = performance.now();
                document.querySelector('#send').click();
                const images = [...document.querySelectorAll('#anchor img, .pick img')];
                await Promise.all(images.map((image) => image.decode()));
                const took = performance.now() - start;
                return [took, before !== images[0].src, images.every((image) => image.naturalWidth)];
            }"""
        )
        somebody.page.context.set_offline(False)
        assert another
        assert seen
        somebody.settle()
        somebody.page.reload()
        somebody.wait()
        return float(took)

    assert any(milliseconds() < 150 for _ in range(8))  # at a quiet moment: other tests use the machine too


def test_zoom_opens_by_key_and_by_holding_and_is_no_click(served: Served, person: Sit) -> None:
    somebody = person(served, "Zoomer")
    zoom = somebody.page.locator("#zoom")
    somebody.page.keyboard.press("ArrowRight")
    somebody.page.keyboard.press("+")
    expect(zoom).to_be_visible()
    somebody.page.keyboard.press("ArrowRight")
    somebody.page.keyboard.press(" ")
    expect(somebody.page.locator("#zoom-label")).to_have_text("Candidate 3: selected")
    somebody.page.keyboard.press("+")
    expect(zoom).to_be_hidden()
    expect(somebody.tiles().nth(2)).to_be_focused()

    somebody.page.keyboard.down("+")
    expect(zoom).to_be_visible()
    somebody.page.wait_for_timeout(500)
    somebody.page.keyboard.up("+")
    expect(zoom).to_be_hidden()

    somebody.tiles().nth(0).hover()
    somebody.page.mouse.down()
    expect(zoom).to_be_visible()
    somebody.page.mouse.up()
    expect(zoom).to_be_hidden()
    states = [tile.get_attribute("data-state") for tile in somebody.page.locator(".tile").all()]
    assert states == ["", "", "same", *[""] * 9]


def test_two_at_once_get_different_questions_and_their_agreement_is_shown(serve: Serve, person: Sit) -> None:
    server = serve("--strategy", "grids", "--overlap", "1")
    ada, ben = person(server, "Ada"), person(server, "Ben")
    assert (ada.anchor(), ada.candidates()) != (ben.anchor(), ben.candidates())
    for _ in range(3):
        ada.by_mouse()
        ben.by_keys()
    for somebody in (ada, ben):
        somebody.settle()
        assert_true(somebody)
        assert len(somebody.mine()) == 3
    ben.page.reload()
    ben.wait()
    expect(ben.page.locator("#figures")).to_contain_text("Agreement100%")
    expect(ben.page.locator("#figures")).to_contain_text("6 by everybody")
