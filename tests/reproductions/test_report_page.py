"""The page of the report of the results in the repository, in a real browser: phone and desk, light, dark, on paper."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from reproductions.drawing import GRID, TEXT
from reproductions.reporting.__main__ import write
from reproductions.reporting.page import STYLE

ROOT = Path(__file__).parents[2]
PHONE, DESK = 360, 1280
GROUNDS = dict(zip(("light", "dark"), re.findall(r"--page: (#[0-9a-f]{6})", STYLE), strict=True))
READABLE = 9  # CSS pixels
OPEN = "document.querySelectorAll('details').forEach(part => part.open = true)"
SCROLLING = """selector => [...document.querySelectorAll(selector)].map(box => box.scrollWidth > box.clientWidth)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        write(folder)
    return folder


def opened(chromium: Browser, report: Path, width: int, scheme: str) -> Page:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.said, page.asked = [], []  # type: ignore[attr-defined]
    page.on("console", lambda message: page.said.append(message.text))  # type: ignore[attr-defined]
    page.on("request", lambda request: page.asked.append(request.url))  # type: ignore[attr-defined]
    page.goto((report / "index.html").as_uri())
    return page


@pytest.fixture(params=[(width, scheme) for width in (PHONE, DESK) for scheme in GROUNDS], ids=str)
def view(request: pytest.FixtureRequest, chromium: Browser, report: Path) -> Iterator[Page]:
    page = opened(chromium, report, *request.param)
    yield page
    page.context.close()


@pytest.fixture
def phone(chromium: Browser, report: Path) -> Iterator[Page]:
    page = opened(chromium, report, PHONE, "light")
    yield page
    page.context.close()


@pytest.fixture
def desk(chromium: Browser, report: Path) -> Iterator[Page]:
    page = opened(chromium, report, DESK, "light")
    yield page
    page.context.close()


def test_page_is_whole_offline_and_fits(view: Page) -> None:
    assert [url for url in view.asked if not url.startswith("data:")] == [view.url]  # type: ignore[attr-defined]
    assert view.said == []  # type: ignore[attr-defined]
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    view.evaluate(OPEN)
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    pictures = view.locator("img").all()
    assert len(pictures) >= 20
    for picture in pictures:
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


CONTRAST = """() => {
    const bright = (colour) => {
        const part = colour.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
            .map((value) => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4);
        return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
    };
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (colour !== 'rgba(0, 0, 0, 0)') return colour;
        }
        return getComputedStyle(document.body).backgroundColor;
    };
    const texts = [...document.querySelectorAll('p, td, th, h1, h2, h3, h4, h5, a, em, code, summary, li, figcaption')];
    return Math.min(...texts.map((element) => {
        const [a, b] = [bright(getComputedStyle(element).color), bright(behind(element))].sort((x, y) => y - x);
        return (a + .05) / (b + .05);
    }));
}"""


def test_text_stands_out_in_either_theme(view: Page) -> None:
    assert view.evaluate(CONTRAST) >= 4.5  # WCAG 2.2, AA


def test_tables_open_and_scroll_by_keyboard(view: Page) -> None:
    first = view.locator("details").first
    assert first.get_attribute("open") is None
    first.locator("summary").focus()
    view.keyboard.press("Enter")
    assert first.get_attribute("open") is not None
    table = first.locator(".table").first
    table.focus()
    assert table.evaluate("element => document.activeElement === element")


# the way around


def test_every_id_is_one_and_every_link_within_the_page_leads_somewhere(desk: Page) -> None:
    ids = desk.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert [name for name, times in Counter(ids).items() if times > 1] == []
    links = desk.evaluate("[...document.querySelectorAll('a[href^=\\'#\\']')].map(a => a.getAttribute('href'))")
    assert len(links) > 20
    assert {link[1:] for link in links} <= set(ids)


def test_the_contents_list_every_section_and_part_in_order(desk: Page) -> None:
    listed = desk.evaluate("[...document.querySelectorAll('nav a')].map(a => [a.textContent, a.getAttribute('href')])")
    headings = desk.evaluate(
        "[...document.querySelectorAll('h2, h3')].filter(h => !h.closest('nav')).map(h => [h.textContent, '#' + h.id])"
    )
    assert listed == headings
    assert desk.locator("nav > ul > li > ul > li").count() == desk.locator("h3").count()
    first, *_, last = desk.locator("h2[id]").all()
    assert first.evaluate("h => h.compareDocumentPosition(document.querySelector('nav'))") == 2  # the nav is before it
    assert last.evaluate("h => !!h.closest('main').querySelector(`h2#${h.id} ~ .back a[href='#contents']`)")


def test_headings_go_down_one_level_at_a_time(desk: Page) -> None:
    levels = [
        int(name[1]) for name in desk.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => h.tagName)")
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_landmarks_are_few(desk: Page) -> None:
    desk.evaluate(OPEN)
    assert desk.get_by_role("region").count() == 0
    assert desk.get_by_role("main").count() == desk.get_by_role("navigation").count() == 1


def test_tables_that_scroll_on_a_phone_can_be_reached_and_have_names(phone: Page) -> None:
    phone.evaluate(OPEN)
    assert len(phone.evaluate(SCROLLING, ".table")) > 50
    assert all(phone.evaluate(SCROLLING, ".table[tabindex='0'][role='group']"))
    assert not any(phone.evaluate(SCROLLING, ".table:not([tabindex])"))
    names = phone.evaluate("[...document.querySelectorAll('[role=group]')].map(table => table.ariaLabel)")
    assert len(set(names)) == len(names)
    assert all(not re.fullmatch(r"table \d+", name) for name in names)


def letters(file: Path) -> tuple[float, float]:
    """The width of a picture and the size of its smallest letters, in units of its own."""
    if file.suffix == ".png":
        with Image.open(file) as image:
            return image.width / image.info["dpi"][0] * 72, 6.0  # points, of pal_plugin.sheet
    text = file.read_text(encoding="utf-8")
    sizes = re.findall(r"<text [^>]*?([\d.]+)px", text) + re.findall(r"<tspan [^>]*?([\d.]+)px", text)
    width = re.search(r'viewBox="0 0 ([\d.]+)', text)
    assert width
    return float(width[1]), min(float(size) for size in sizes)


def test_figures_can_be_read_on_a_phone_and_scroll_in_their_box(phone: Page, report: Path) -> None:
    assert any(phone.evaluate(SCROLLING, ".picture"))
    for picture in phone.locator("a.picture").all():
        file = report / str(picture.get_attribute("href"))
        shown = picture.locator("img").evaluate("image => image.getBoundingClientRect().width")
        width, smallest = letters(file)
        assert shown * smallest / width >= READABLE, file
        assert picture.evaluate("box => box.getBoundingClientRect().right <= window.innerWidth")
        picture.evaluate("box => box.scrollLeft = 1e6")
        assert picture.evaluate("box => box.querySelector('img').getBoundingClientRect().right <= window.innerWidth")


def test_figures_fit_a_desk(desk: Page) -> None:
    assert not any(desk.evaluate(SCROLLING, ".picture"))


@pytest.mark.parametrize("scheme", GROUNDS)
def test_a_figure_opens_by_itself_and_suits_the_theme(chromium: Browser, report: Path, scheme: str) -> None:
    page = opened(chromium, report, DESK, scheme)
    page.locator("a.picture").first.click()
    assert page.url == (report / "figures" / "gps_ssl_smoke_accuracy.svg").as_uri()
    with Image.open(BytesIO(page.screenshot())) as shot:
        corner = shot.convert("L").getpixel((shot.width - 1, shot.height - 1))
    filled = "text => getComputedStyle(text).fill"
    dark = scheme == "dark"
    assert (corner < 32) == dark
    assert page.locator("text").first.evaluate(filled) == ("rgb(230, 237, 243)" if dark else "rgb(31, 35, 40)")
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type]
    assert page.locator("text").first.evaluate(filled) == "rgb(31, 35, 40)"
    page.context.close()


def test_what_a_figure_shows_is_said_once(desk: Page) -> None:
    captions = desk.evaluate(
        "[...document.querySelectorAll('figure')].map(f => f.querySelector('figcaption').innerText)"
    )
    names = desk.evaluate("[...document.querySelectorAll('figure img')].map(image => image.alt)")
    assert all(captions)
    assert len(captions) == len(set(names)) == desk.locator("img").count()
    assert all(0 < len(name) < 60 for name in names)
    assert not {caption.lower().rstrip(".") for caption in captions} & {name.lower() for name in names}


TEXTS = """() => {
    const whole = document.documentElement.getBoundingClientRect();
    return [...document.querySelectorAll('text')].filter((text) => {
        const box = text.getBoundingClientRect();
        const out = [whole.left - box.left, box.right - whole.right, whole.top - box.top, box.bottom - whole.bottom];
        return Math.max(...out) > 1;
    }).map((text) => text.textContent);
}"""
MARKS = """() => {
    const shown = (element) => !element.closest('text, defs, clipPath');
    return [...document.querySelectorAll('[style]')].filter(shown).flatMap((element) => {
        const { fill, stroke } = element.style;
        const drawn = element.tagName === 'use' || element.tagName === 'path' ? [fill, stroke] : [];
        return drawn.filter((colour) => /^rgb/.test(colour));
    });
}"""
ON_LINES = """() => {
    const dotted = [...document.querySelectorAll('path')].filter((path) => path.style.strokeDasharray)
        .map((path) => path.getBoundingClientRect()).filter((box) => box.height < 2);
    return [...document.querySelectorAll('text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return dotted.some((line) => line.top < box.bottom + 2 && line.bottom > box.top - 2 &&
            line.left < box.right && line.right > box.left);
    }).map((text) => text.textContent);
}"""


@pytest.fixture(scope="module")
def alone(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": DESK, "height": 1600})
    yield context.new_page()
    context.close()


def test_no_word_of_a_figure_is_cut_off(alone: Page, report: Path) -> None:
    for file in sorted(report.glob("figures/*.svg")):
        alone.goto(file.as_uri())
        assert (file.name, alone.evaluate(TEXTS)) == (file.name, [])


def test_marks_of_all_figures_stand_out_on_either_page(alone: Page, report: Path) -> None:
    """Text and grid change with the page, and what is white is the inside of a mark."""
    suited = {f"rgb({int(c[1:3], 16)}, {int(c[3:5], 16)}, {int(c[5:], 16)})" for c in (TEXT[0], GRID[0], "#ffffff")}
    found = set()
    for file in sorted(report.glob("figures/*.svg")):
        alone.goto(file.as_uri())
        found |= set(alone.evaluate(MARKS)) - suited
    assert len(found) >= 8
    alone.goto("about:blank")
    for ground in GROUNDS.values():
        alone.set_content("".join(f'<p style="color:{colour};background:{ground}">x</p>' for colour in found))
        assert alone.evaluate(CONTRAST) >= 3  # WCAG 2.2, 1.4.11


def test_labels_of_lines_stand_above_them(alone: Page, report: Path) -> None:
    alone.goto((report / "figures" / "adassl_cpu_moving_mnist.svg").as_uri())
    assert "v′ = v" in alone.evaluate("[...document.querySelectorAll('text')].map(text => text.textContent)")
    assert alone.evaluate(ON_LINES) == []


# on paper

SHOWN = """() => [...document.querySelectorAll('details .table')].map((table) =>
    table.checkVisibility({ contentVisibilityAuto: true }) && table.getBoundingClientRect().height > 0)"""


@pytest.mark.parametrize("scheme", GROUNDS)
def test_on_paper_all_is_open_whole_and_light(chromium: Browser, report: Path, scheme: str) -> None:
    page = opened(chromium, report, 794, scheme)  # A4
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type]
    shown = page.evaluate(SHOWN)
    assert len(shown) > 20
    assert all(shown)
    assert not any(page.evaluate(SCROLLING, ".table, .picture"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    with Image.open(BytesIO(page.locator("img").first.screenshot())) as shot:
        assert shot.convert("L").getextrema()[0] < 64  # dark text on paper
        assert shot.convert("L").getpixel((0, 0)) == 255
    page.context.close()
