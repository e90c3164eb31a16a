"""Pages read as a browser would, and a small data set whose images can be told by their colour."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data import ImageDataset

VOID = {"img", "meta", "br", "line", "rect"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str, kind: str | None = None) -> list[Element]:
        """Every descendant of a tag, and of a class where one is given, in order."""
        own = [self] if self.tag == tag and kind in (None, *self.attributes.get("class", "").split()) else []
        return own + [found for child in self.children for found in child.all(tag, kind)]

    def words(self) -> str:
        return " ".join([self.text.strip(), *(child.words() for child in self.children)]).strip()


class Page(HTMLParser):
    """Refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.stack = [self.root]
        self.feed(text)
        self.close()
        assert self.stack == [self.root], f"not closed: {self.stack[-1].tag}"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].children.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag, attrs):
        self.stack[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop().tag == tag

    def handle_data(self, data):
        self.stack[-1].text += data


@pytest.fixture
def read_page():
    """Parse a page and check what holds for every page: self-contained, no script, a description for each picture."""

    def read(path: Path) -> Element:
        text = path.read_text(encoding="utf-8")
        root = Page(text).root
        assert text.startswith("<!DOCTYPE html>")
        assert root.all("html")[0].attributes["lang"] == "en"
        assert root.all("title")[0].text
        assert "width=device-width" in root.all("meta")[1].attributes["content"]
        assert "prefers-color-scheme: dark" in root.all("style")[0].text
        for tag in ("script", "link", "iframe", "object", "a", "b", "i"):
            assert not root.all(tag)
        assert "http" not in text.replace("http-equiv", "")
        for image in root.all("img"):
            assert image.attributes["src"].startswith("data:image/")
            assert image.attributes["alt"]
        for drawing in root.all("svg"):
            assert drawing.attributes["role"] == "img"
            assert drawing.attributes["aria-label"]
        return root

    return read


@pytest.fixture
def decode():
    """The pixels of an inlined picture."""

    def pixels(element: Element) -> np.ndarray:
        content = base64.b64decode(element.attributes["src"].partition(",")[2], validate=True)
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    return pixels


@pytest.fixture
def coloured():
    """`coloured(labels)`: images of 4 × 4 pixels, image i all of the colour (40 + 20 i, 7, 9)."""

    def make(labels, names=("ant", "bee", "cow"), ids=None) -> ImageDataset:
        images = np.zeros((len(labels), 4, 4, 3), dtype=np.uint8)
        images[..., 0] = 40 + 20 * np.arange(len(labels))[:, None, None]
        images[..., 1:] = 7, 9
        ids = tuple(f"shots/{number}.png" for number in range(len(labels))) if ids is None else ids
        half = (0.5, 0.5, 0.5)
        return ImageDataset("toy", "train", images, np.array(labels), ids, names, half, half)

    return make
