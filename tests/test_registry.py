"""Names to things: near matches, collisions, and distributions of others that are broken."""

from __future__ import annotations

import fractions
import json
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.errors import ConfigError
from pal_plugin.methods import find_method
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


SELECT = "select --features x.npy --budget 2 --no-pictures --out picks.csv"


@pytest.fixture
def features(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32))


def paragraph(capsys):
    """What a command said that failed: one line, and no traceback."""
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("pal: ")
    return line


def test_a_name_of_ours_stays_ours_and_the_others_is_warned_of_once(site, features, capsys, monkeypatch):
    install(site, "taker-dist", "[pal_plugin.selectors]\nkcenter = taker_mod:No\n", {"taker_mod.py": "raise OSError\n"})
    assert main(SELECT.split()) == 0
    [warning] = [line for line in capsys.readouterr().err.splitlines() if "kcenter" in line]
    assert warning.startswith("pal: warning: The selector 'kcenter' of taker-dist (taker_mod:No) is left out")
    assert json.loads(Path("picks.json").read_text())["selector"]["name"] == "KCenterGreedy"
    monkeypatch.setenv(STRICT_ENV, "1")
    assert main(SELECT.split()) == 2
    assert "'kcenter' of taker-dist" in paragraph(capsys)


def test_two_others_of_one_name_are_an_error_only_where_it_is_asked_for(site, features, capsys):
    for name in ("left-dist", "right-dist"):
        module = name.replace("-", "_")
        entry = f"[pal_plugin.selectors]\ntwice = {module}:Thing\n"
        install(site, name, entry, {f"{module}.py": "class Thing: pass\n"})
    assert main(SELECT.split()) == 0
    assert "twice" not in capsys.readouterr().err
    assert main([*SELECT.split(), "--method", "twice"]) == 2
    said = paragraph(capsys)
    assert "left_dist:Thing of left-dist" in said
    assert "right_dist:Thing of right-dist" in said


ASKED = {
    "selector": f"{SELECT} --method NAME",
    "engine": "graph knn --features x.npy --k 2 --engine NAME --out graph",
    "prior": "embed --data digits --prior NAME --out features",
    "oracle": "oracle run --data digits --store answers.db --budget 4 --no-train --strategy random --oracle NAME",
}
WRONG = {"number": "Thing = 5\n", "exit": "import sys\nsys.exit(3)\n"}
SAID = {"number": "is of the type int, not something that can be called", "exit": "importing it exits with 3"}


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("how", WRONG)
def test_what_is_no_entry_or_ends_the_program_is_one_named_error(kind, how, site, features, capsys):
    module = f"wrong_{kind}_{how}"
    install(site, "wrong-dist", f"[pal_plugin.{kind}s]\nwrong = {module}:Thing\n", {f"{module}.py": WRONG[how]})
    assert main(ASKED[kind].replace("NAME", "wrong").split()) == 2
    said = paragraph(capsys)
    assert f"The {kind} 'wrong' of wrong-dist ({module}:Thing)" in said
    assert SAID[how] in said


@pytest.mark.parametrize(
    ("text", "said"),
    [*((WRONG[how], how) for how in WRONG), ("class Thing: pass\n", "class")],
)
def test_a_method_of_the_wrong_kind_is_named(text, said, site):
    module = f"wrong_method_{said}"
    install(site, "wrong-dist", f"[pal_plugin.methods]\nwrong = {module}:Thing\n", {f"{module}.py": text})
    expected = {
        "number": r"is of the type int, not a subclass of pal_plugin\.host\.BaseMethod",
        "class": rf"is the class {module}\.Thing, not a subclass",
        "exit": "importing it exits with 3",
    }
    with pytest.raises(ConfigError, match=rf"The method 'wrong' of wrong-dist .*{expected[said]}"):
        find_method("wrong")


@pytest.mark.parametrize("strict", ["0", "1"])
def test_the_doctor_lists_what_is_broken_in_every_group(strict, site, capsys, monkeypatch):
    """One broken, one of a name of ours and one sound entry; whoever runs it sees all of them, authors as well."""
    kinds = {"method": "simclr2", "prior": "lite0", "engine": "faiss", "oracle": "parity", "selector": "kcenter"}
    module = f"for_doctor_{strict}"
    lines = [f"[pal_plugin.{kind}s]\nbad = {module}:Nowhere\n{name} = {module}:taken\n" for kind, name in kinds.items()]
    install(site, "sick-dist", "".join(lines), {f"{module}.py": "print('loud')\ndef taken(*_): pass\n"})
    monkeypatch.setenv(STRICT_ENV, strict)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["problems"]
    problems = [problem for problem in found if "sick-dist" in problem["what"]]
    said = "\n".join(problem["what"] for problem in problems)
    for kind in kinds:
        assert f"The {kind} 'bad' of sick-dist ({module}:Nowhere) cannot be imported" in said
    for kind in ("prior", "engine", "selector"):
        assert f"The {kind} '{kinds[kind]}' of sick-dist ({module}:taken) is left out" in said
    assert "The method 'simclr2' of sick-dist" in said  # a function is no method
    assert len(problems) == 9  # the oracle that can be called is none of them
    assert all(problem["mend"] for problem in problems)
