"""A real `pal oracle serve`, a real Chromium, and people who answer with either hand."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from pal_plugin.data import ImageDataset, load_dataset
from pal_plugin.oracle.store import Entry, RelationStore
from pal_plugin.page.images import Pictures

SETTLE_MS = 300  # the page takes no answer within the first quarter of a second: see SETTLE_MS in session.js
SHOWN = "() => [...document.querySelectorAll('#anchor img, .pick img')].map((image) => image.src)"
SENT = "() => !Object.keys(localStorage).some((key) => key.startsWith('pal.outbox.'))"

TRIES = 20  # of a port that was used before

expect.set_options(timeout=15_000)  # as that of the pages below: the page itself waits 4 s before it tries again


class Served:
    """`pal oracle serve` as a process, on a data set with labels.

    Args:
        folder: where the store is.
        options: of the command, besides those that name the store and the data.
        data: the data set.
    """

    def __init__(self, folder: Path, *options: str, data: str = "digits") -> None:
        self.folder = folder
        self.options = options
        self.data = data
        self.port = 0
        self.start()

    def start(self, store: str = "answers.db") -> None:
        """Start; again on the same port, after a first time."""
        self.store = self.folder / store
        command = [sys.executable, "-m", "pal_plugin.cli", "oracle", "serve", "--store", str(self.store)]
        command += ["--data", self.data, "--port", str(self.port), *self.options]
        for _ in range(TRIES if self.port else 1):
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            if line:
                break
            self.process.wait()  # another program may have been given the port for a connection of its own
            time.sleep(0.5)
        assert "http://127.0.0.1:" in line, line
        self.url = line.split()[-1]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def questions(self) -> list[Entry]:
        """What the store has, read behind the server's back."""
        with RelationStore.open(self.store) as store:
            return store.questions()

    def answered(self) -> list[Entry]:
        """The questions that have been answered."""
        return [entry for entry in self.questions() if entry.state == "answered"]

    def pictures(self) -> Pictures:
        """The names by which the page knows the samples."""
        with RelationStore.open(self.store) as store:
            return Pictures(dataset(self.data), store.secret)


def dataset(name: str) -> ImageDataset:
    """The data set that is served."""
    return load_dataset(name, "train")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a server of this test's own."""
    started: list[Served] = []

    def start(*options: str, **keywords: Any) -> Served:
        started.append(Served(tmp_path, *options, **keywords))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that the tests of a module share; each of them brings an annotator of its own."""
    server = Served(tmp_path_factory.mktemp("served"), "--strategy", "grids", "--per-click", "0.02", "--currency", "€")
    yield server
    server.kill()


class Person:
    """Somebody in front of the page who knows the labels.

    Args:
        context: of the browser.
        server: whose page it is.
        name: to answer under.
    """

    def __init__(self, context: BrowserContext, server: Served, name: str) -> None:
        self.context = context
        self.server = server
        self.name = name
        self.labels = dataset(server.data).labels
        self.pictures = server.pictures()
        self.problems: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(server.url)
        self.page.get_by_label("Your name").fill(name)
        self.page.keyboard.press("Enter")
        self.wait()

    def wait(self) -> None:
        """Until there is a question, and an answer to it is taken."""
        self.page.locator(".tile").first.wait_for()
        self.page.wait_for_timeout(SETTLE_MS)

    def after(self, act: Callable[[], None]) -> None:
        """Answer by `act`, then wait until another question shows and an answer to it is taken."""
        before, end = self.page.evaluate(SHOWN), time.monotonic() + 15
        act()
        while self.page.evaluate(SHOWN) in (before, []):
            assert time.monotonic() < end, "no other question came"
            self.page.wait_for_timeout(20)
        self.wait()

    def settle(self, page: Page | None = None) -> None:
        """Until the server has everything that was sent, from another page of theirs perhaps.

        By hand, since the page's policy forbids what Playwright's `wait_for_function` does.
        """
        page, end = page or self.page, time.monotonic() + 15
        while not page.evaluate(SENT):
            assert time.monotonic() < end, "something is still to be sent"
            page.wait_for_timeout(20)

    def tiles(self) -> Locator:
        """The candidates' buttons."""
        return self.page.locator(".pick")

    def doubts(self) -> Locator:
        """The candidates' "not sure" buttons."""
        return self.page.locator(".doubt")

    def anchor(self) -> int:
        """The sample that is compared with."""
        return self._sample(self.page.locator("#anchor img"))

    def candidates(self) -> list[int]:
        """The samples to compare with it."""
        return [self._sample(image) for image in self.page.locator(".pick img").all()]

    def truth(self) -> list[int]:
        """The places of the candidates that show the same as the anchor."""
        return np.flatnonzero(self.labels[self.candidates()] == self.labels[self.anchor()]).tolist()

    def by_mouse(self) -> None:
        """Answer a grid by mouse, truly."""
        for place in self.truth():
            self.tiles().nth(place).click()
        self.page.locator("#send").click()
        self.page.wait_for_timeout(SETTLE_MS)

    def by_keys(self) -> None:
        """Answer a grid by keyboard, truly."""
        for place in self.truth():
            self.page.keyboard.press("123456789abc"[place])
        self.page.keyboard.press("Enter")
        self.page.wait_for_timeout(SETTLE_MS)

    def mine(self) -> list[Entry]:
        """The questions that this person has closed, in their order."""
        found = [
            entry for entry in self.server.questions() if entry.annotator == self.name and entry.closed is not None
        ]
        return sorted(found, key=lambda entry: entry.closed or 0)

    def _sample(self, image: Locator) -> int:
        source = image.get_attribute("src") or ""
        sample = self.pictures.sample(source.rpartition("/")[2].partition("?")[0])
        assert sample is not None, source
        return sample


@pytest.fixture
def person(chromium: Browser) -> Iterator[Callable[..., Person]]:
    """Sit somebody down in front of a server's page, in a browser profile of their own."""
    people: list[Person] = []

    def sit(server: Served, name: str, **context: Any) -> Person:
        settings = {"viewport": {"width": 1280, "height": 800}} | context
        people.append(Person(chromium.new_context(**settings), server, name))
        return people[-1]

    yield sit
    for somebody in people:
        somebody.context.close()
        assert not somebody.problems
