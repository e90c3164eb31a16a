"""What the page looks and sounds like: widths, contrasts, names, motion, and that it loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.slow

Sit = Callable[..., Any]

# Every visible piece of text: its contrast against what is painted below it, by WCAG 2.2's formula.
CONTRASTS = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const linear = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const colour = channels(getComputedStyle(node).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        if (!text || !node.checkVisibility() || node.closest(":disabled, .hidden")) continue;
        const pair = [luminance(channels(getComputedStyle(node).color)), luminance(ground(node))];
        found.push([text, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)]);
    }
    return found;
}"""


def mark_some(somebody: Any) -> None:
    """A grid with a selected candidate and one that somebody is not sure about."""
    somebody.tiles().nth(1).click()
    somebody.doubts().nth(2).click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(served: Any, person: Sit, scheme: str) -> None:
    somebody = person(served, f"Contrast {scheme}", color_scheme=scheme)
    mark_some(somebody)
    somebody.page.keyboard.press("?")
    contrasts = somebody.page.evaluate(CONTRASTS)
    assert len(contrasts) > 40
    assert [(text, round(ratio, 2)) for text, ratio in contrasts if ratio < 4.5] == []


def test_dark_is_dark_and_light_is_light(served: Any, person: Sit) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        somebody = person(served, f"Scheme {scheme}", color_scheme=scheme)
        grounds.append(
            somebody.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        )
    assert min(grounds[0]) > 200
    assert max(grounds[1]) < 50


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_scrolls_sideways_and_everything_can_be_touched(served: Any, person: Sit, width: int) -> None:
    somebody = person(served, f"Width {width}", viewport={"width": width, "height": 740}, has_touch=True)
    somebody.tiles().nth(1).tap()
    somebody.doubts().nth(2).tap()
    states = [tile.get_attribute("data-state") for tile in somebody.page.locator(".tile").all()[:4]]
    assert states == ["", "same", "unsure", ""]
    assert somebody.page.evaluate("document.documentElement.scrollWidth") <= width
    for button in somebody.page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24, button  # WCAG 2.5.8
    send = somebody.page.locator("#send").bounding_box()
    assert send is not None
    assert send["y"] + send["height"] <= 740  # in reach without scrolling
    somebody.page.wait_for_timeout(300)
    somebody.page.locator("#send").tap()
    somebody.settle()
    assert len(somebody.mine()) == 1


def test_a_screen_reader_hears_what_there_is(served: Any, person: Sit) -> None:
    somebody = person(served, "Reader")
    page = somebody.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Select all that show the same thing as this one")
    group = page.get_by_role("group", name="Select all that show the same thing as this one")
    expect(group.get_by_role("button", name="Candidate 3", exact=True)).to_have_attribute("aria-pressed", "false")
    group.get_by_role("button", name="Candidate 3: not sure").click()
    expect(group.get_by_role("button", name="Candidate 3, not sure")).to_have_count(1)
    page.get_by_role("button", name="Send 1 not sure").click()
    expect(page.locator("#live[role=status]")).to_contain_text("12 candidates.")
    expect(page.get_by_role("button", name="The image to compare with, enlarge")).to_be_visible()
    for button in page.get_by_role("button").all():
        assert button.get_attribute("aria-label") or button.inner_text().strip()


def test_help_and_the_switch_that_silences_the_letters(served: Any, person: Sit) -> None:
    somebody = person(served, "Letters")
    page = somebody.page
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys and gestures")).to_be_visible()
    page.keyboard.press("1")  # belongs to the dialog now
    page.get_by_label("Single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(somebody.tiles().nth(0)).to_be_focused()
    for key in "12su":
        page.keyboard.press(key)
    assert page.locator('.tile:not([data-state=""])').count() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.keyboard.press("Enter")
    somebody.settle()
    assert [entry.relations.tolist() for entry in somebody.mine()] == [[-1, 1, *[-1] * 10]]


def test_reduced_motion_moves_nothing(served: Any, person: Sit) -> None:
    somebody = person(served, "Still", reduced_motion="reduce")
    durations = somebody.page.evaluate(
        "[...document.querySelectorAll('*')].map((node) => getComputedStyle(node).transitionDuration)"
    )
    assert set(durations) == {"0s"}


def test_nothing_is_asked_of_anybody_else(served: Any, person: Sit) -> None:
    somebody = person(served, "Origin")
    asked: list[str] = []
    said: list[str] = []
    somebody.context.on("request", lambda request: asked.append(request.url))
    somebody.page.on("console", lambda message: said.append(message.text))  # a broken policy is said there
    page = somebody.page
    assert "default-src 'self'" in (page.reload().headers["content-security-policy"])
    somebody.wait()
    mark_some(somebody)
    page.keyboard.press("+")
    page.keyboard.press("+")
    somebody.by_mouse()
    somebody.settle()
    page.wait_for_load_state("networkidle")
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith(served.url)] == []
    assert said == []
