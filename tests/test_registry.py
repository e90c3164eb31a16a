"""Names to things: near matches, collisions, and distributions of others that are broken."""

from __future__ import annotations

import fractions
from pathlib import Path

import pytest

from pal_plugin.errors import ConfigError
from pal_plugin.registry import STRICT_ENV, Registry, engines, near_matches, priors


def install(site: Path, name: str, entry_points: str, modules: dict[str, str]) -> None:
    """Lay a distribution out as an installer does: modules, METADATA, entry_points.txt and RECORD."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    for file, text in modules.items():
        (site / file).write_text(text)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*modules, *(p.name for p in info.iterdir())]))


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_ours_are_registered():
    assert {"lite0", "pixels"} <= set(priors)
    assert "faiss" in engines


def test_unknown_name_gives_the_near_matches():
    with pytest.raises(ConfigError, match=r"no prior called 'lite'.*did you mean lite0"):
        priors.get("lite")


def test_nothing_near_lists_all():
    assert near_matches("zzz", ["b", "a"]) == "there are: a, b"
    assert near_matches("simclr", ["simclr2", "byol"]) == "did you mean simclr2?"


def test_added_things_come_back_and_may_be_added_twice():
    registry = Registry("gadget")
    registry.add("half", fractions.Fraction)
    registry.add("half", fractions.Fraction)
    assert registry.get("half") is fractions.Fraction
    assert "half" in registry
    assert list(registry) == ["half"]


def test_collision_in_the_process_names_both_sides():
    registry = Registry("gadget")
    registry.add("x", fractions.Fraction)
    with pytest.raises(ConfigError, match=r"called 'x': fractions.Fraction and pathlib.*Path"):
        registry.add("x", Path)
    assert registry.get("x") is fractions.Fraction


def test_an_entry_point_is_not_taken_over(site):
    install(site, "good-dist", "[pal_plugin.gadgets]\nmine = good_mod3:Mine\n", {"good_mod3.py": "class Mine: pass\n"})
    registry = Registry("gadget")
    with pytest.raises(ConfigError, match=r"called 'mine': good_mod3:Mine of good-dist and pathlib.*Path"):
        registry.add("mine", Path)
    registry.add("mine", registry.get("mine"))  # the same thing


def test_holding_leaves_what_was_there():
    registry = Registry("gadget")
    with registry.holding("half", fractions.Fraction):
        assert "half" in registry
    assert "half" not in registry
    registry.add("half", fractions.Fraction)
    with registry.holding("half", fractions.Fraction):
        pass
    assert registry.get("half") is fractions.Fraction


def test_collision_of_distributions_names_both_sides(site):
    for name in ("first-dist", "second-dist"):
        module = name.replace("-", "_")
        install(site, name, f"[pal_plugin.gadgets]\nsame = {module}:Thing\n", {f"{module}.py": "class Thing: pass\n"})
    with pytest.raises(ConfigError) as caught:
        Registry("gadget").get("same")
    for part in ("'same'", "first_dist:Thing of first-dist", "second_dist:Thing of second-dist", "Uninstall"):
        assert part in str(caught.value)


def test_a_distribution_adds_a_method(site):
    install(site, "good-dist", "[pal_plugin.gadgets]\nmine = good_mod:Mine\n", {"good_mod.py": "class Mine: pass\n"})
    registry = Registry("gadget")
    assert registry.get("mine").__name__ == "Mine"
    with pytest.raises(ConfigError, match="did you mean mine"):
        registry.get("mien")


BROKEN = "[pal_plugin.gadgets]\nbad = broken_mod:Thing\nlost = good_mod2:Nowhere\nfine = good_mod2:Fine\n"


def test_broken_plugin_warns_with_its_name_and_distribution(site):
    install(
        site,
        "broken-dist",
        BROKEN,
        {"broken_mod.py": "import a_package_nobody_has\n", "good_mod2.py": "class Fine: pass\n"},
    )
    with pytest.warns(RuntimeWarning) as caught:
        loaded = Registry("gadget").load_all()
    assert list(loaded) == ["fine"]
    texts = sorted(str(w.message) for w in caught)
    assert len(texts) == 2
    assert "'bad' of broken-dist" in texts[0]
    assert "a_package_nobody_has" in texts[0]
    assert "'lost' of broken-dist" in texts[1]


def test_strict_mode_raises(site, monkeypatch):
    install(
        site,
        "broken-dist",
        BROKEN,
        {"broken_mod.py": "raise RuntimeError('boom')\n", "good_mod2.py": "class Fine: pass\n"},
    )
    monkeypatch.setenv(STRICT_ENV, "1")
    with pytest.raises(ConfigError, match=r"'bad' of broken-dist .*boom"):
        Registry("gadget").load_all()


def test_listing_imports_nothing(site):
    install(site, "broken-dist", BROKEN, {"broken_mod.py": "raise RuntimeError('boom')\n", "good_mod2.py": ""})
    registry = Registry("gadget")
    assert list(registry) == ["bad", "fine", "lost"]
    assert "bad" in registry
