"""`gps_x` for any x: the host's, a third party's, and those that a researcher put into solo-learn's own table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import pal_plugin
from pal_plugin import registry
from pal_plugin.errors import ConfigError
from pal_plugin.host import METHODS
from pal_plugin.host.solo import SOLO_METHODS
from pal_plugin.methods import find_method, method_names


class Mine(METHODS["simclr"]):  # type: ignore[misc]
    """A third party's method."""


@pytest.fixture
def mine() -> Iterator[None]:
    registry.methods.add("mine", Mine)
    yield
    del registry.methods._added["mine"]


def test_a_third_partys_method_on_pairs(mine: None) -> None:
    assert find_method("mine") is Mine
    paired: Any = find_method("gps_mine")
    assert issubclass(paired, Mine)
    assert paired.wants_pair_batch
    assert {"mine", "gps_mine"} <= set(method_names())


def test_a_method_that_takes_pairs_is_not_put_on_pairs_again() -> None:
    registry.methods.add("of_pairs", find_method("gps_simclr"))
    try:
        with pytest.raises(ConfigError, match="'of_pairs' takes pairs as it is"):
            find_method("gps_of_pairs")
        assert "gps_of_pairs" not in method_names()
    finally:
        del registry.methods._added["of_pairs"]


@pytest.mark.parametrize(
    ("name", "near"), [("gps_bylo", "gps_byol"), ("gps_vicregg", "gps_vicreg"), ("simclrr", "simclr"), ("gps", "gps_")]
)
def test_near_matches(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=rf"no method called '{name}'.*{near}"):
        find_method(name)


def test_solo_learns_own_table_gets_them_all(mine: None) -> None:
    before = dict(SOLO_METHODS)
    try:
        pal_plugin.register()
        assert {f"gps_{name}" for name in METHODS} | {"mine", "gps_mine"} <= set(SOLO_METHODS)
        assert SOLO_METHODS["gps_byol"] is find_method("gps_byol")
        first = dict(SOLO_METHODS)
        pal_plugin.register()
        assert dict(SOLO_METHODS) == first
    finally:
        SOLO_METHODS.clear()
        SOLO_METHODS.update(before)


@pytest.mark.slow
def test_a_method_in_solo_learns_own_table() -> None:
    code = """
import pal_plugin.host.aliases as aliases, contextlib
from pal_plugin.host import host_info
with aliases.release_aliases() if host_info().kind == "release" else contextlib.nullcontext():
    from solo.methods import METHODS
METHODS["theirs"] = type("Theirs", (METHODS["byol"],), {})
import pal_plugin
pal_plugin.register()
print(METHODS["gps_theirs"].__name__, METHODS["gps_theirs"].wants_pair_batch)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["GPSTheirs", "True"]
