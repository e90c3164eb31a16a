from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pal_plugin.data import Manifest, check_reference, load_digits
from pal_plugin.errors import ManifestError


def make(**changes) -> Manifest:
    return dataclasses.replace(Manifest(name="toy", split="train", ids=("a", "b", "c"), content="00"), **changes)


@pytest.mark.parametrize(
    "change", [{"ids": ("b", "a", "c")}, {"ids": ("a", "b")}, {"content": "01"}, {"split": "test"}]
)
def test_digest_tells_data_sets_apart(change):
    assert make(**change).digest != make().digest


def test_name_is_no_part_of_the_identity():
    assert make(name="other").digest == make().digest


def test_ids_are_not_run_together():
    assert make(ids=("a,b", "c")).digest != make(ids=("a", "b,c")).digest


def test_content_follows_one_pixel_and_the_order():
    digits = load_digits("test")
    pixel = digits.images.copy()
    pixel[7, 3, 3, 0] ^= 1
    touched = dataclasses.replace(digits, images=pixel)
    swapped = dataclasses.replace(digits, images=digits.images[::-1])
    relabelled = dataclasses.replace(digits, labels=np.full(len(digits), -1))
    assert len({data.manifest.content for data in (digits, touched, swapped)}) == 3
    assert relabelled.manifest.digest == digits.manifest.digest


def test_reference_is_checked():
    manifest = make()
    assert manifest.reference() == {"name": "toy", "split": "train", "size": 3, "digest": manifest.digest}
    check_reference(manifest.reference(), manifest, what="The graph", path="somewhere")
    other = make(split="test", ids=("x",))
    with pytest.raises(
        ManifestError, match=r"The graph in some/where .*toy/test with 1 .*toy/train with 3 .*pal embed"
    ):
        check_reference(other.reference(), manifest, what="The graph", path="some/where")
    with pytest.raises(ManifestError, match="no digest"):
        check_reference({}, manifest, what="The graph", path=None)
