"""What docs/ says can be run is run; the scripts for SLURM, which begin with ```sh, by `test_slurm.py`."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pal_plugin.cli import _parser, main
from pal_plugin.launch import compose
from pal_plugin.selection import KCenterGreedy, Selection

DOCS = Path(__file__).parents[1] / "docs"


# What becomes of the Python examples of a page, in their order: the test that runs each, or why none does.
PYTHON = {
    "adassl.md": ["test_adassl_in_python"],
    "quickstart.md": ["the README's, which test_readme.py runs"],
    "selection.md": ["test_selection_from_python", "test_selection_on_several_processes"],
    "tutorial.md": ["test_the_tutorial"],
    "yours.md": ["test_what_is_yours"] * 3,
}
# How lines of shells begin that are no `pal` command, and so not looked at here, and why.
OTHERS = {
    "pip install uv && uv run dvc repro": "takes minutes: tests/reproductions runs the pipeline on less",
    "pip install uv && uv run pytest": "this",
    "uv run dvc ": "tests/reproductions runs the pipeline on less",
    "uv run python photos.py": "test_the_tutorial runs it",
    "torchrun --nproc-per-node 2 shards.py": "test_selection_on_several_processes runs it",
    "ssh -N -L 8080:127.0.0.1:8080 ": "another machine",
    "torchrun --nnodes 4 --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint HOST:29500 shards.py": "four machines",
    "python main_pretrain.py … ": "solo-learn's own script, with the reader's overrides",
    "python -m benchmarks": "takes minutes on a machine that does nothing else",
}

PACKAGE = DOCS.parent / "pal_plugin"
EXAMPLES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)


def indented(name: str) -> list[str]:
    """The blocks that are code because four spaces stand before each line."""
    text = re.sub(r"^```.*?^```$", "", (DOCS / name).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"(?<=\n\n) {4}.*\n(?:\n* {4}.*\n)*", text)
    return [textwrap.dedent(block) for block in found]


def is_python(block: str) -> bool:
    try:
        ast.parse(block)
    except SyntaxError:
        return False
    return True


def python(name: str) -> list[str]:
    return [*blocks(name, "python"), *filter(is_python, indented(name))]


def lines(name: str) -> list[str]:
    """What a page says to a shell, without comments."""
    found = [*blocks(name, "bash"), *(block for block in indented(name) if not is_python(block))]
    whole = "".join(found).replace("\\\n", " ").splitlines()
    return [line for line in whole if line and not line.startswith("#")]


def arguments(line: str) -> list[str] | None:
    """What a line gives to `pal`, however it is started; None where it starts something else."""
    words = shlex.split(line, comments=True)
    for place, word in enumerate(words):
        if word == "main_pretrain.py":
            return ["train", *words[place + 1 :]]
        if word == "pal_plugin.cli" or Path(word).name == "pal":
            return words[place + 1 :]
    return None


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_of_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed


def test_selection_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(compile(blocks("selection.md", "python")[0], "selection.md", "exec"), names)
    assert len(names["more"]) == 200
    np.testing.assert_array_equal(names["more"].indices[:100], names["picks"].indices)
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.slow
def test_selection_on_several_processes(tmp_path: Path) -> None:
    """The script of the page, under torchrun, picks what one process picks."""
    rows = np.random.default_rng(0).normal(size=(6000, 16)).astype(np.float32)
    for rank, part in enumerate(np.array_split(rows, [2500])):
        np.save(tmp_path / f"features-{rank}.npy", part)
    script = next(block for block in blocks("selection.md", "python") if block.startswith("# shards.py"))
    (tmp_path / "shards.py").write_text(script, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "shards.py"]
    done = subprocess.run(
        launch, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    found = Selection.load(tmp_path / "picks.csv").indices
    np.testing.assert_array_equal(found, KCenterGreedy().select(rows, 5000).indices)


PAGES = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_are_the_command_lines(page: str) -> None:
    """Every override is one that the config has, and every option one that its command has."""
    for line in lines(page):
        if line.startswith(tuple(OTHERS)):
            continue
        command = arguments(line)
        assert command, f"neither a pal command nor one of OTHERS: {line}"
        if command[0] == "train":
            assert command[1] == "--config-name"
            compose(command[2], command[3:])
        else:
            _parser().parse_args(command)


def test_nothing_is_left_out_without_a_reason() -> None:
    """Every Python example is one that PYTHON accounts for, every line of OTHERS one that a page has."""
    assert {page: len(python(page)) for page in PAGES if python(page)} == {page: len(PYTHON[page]) for page in PYTHON}
    tests = {how for several in PYTHON.values() for how in several if how.startswith("test_")}
    assert tests <= set(globals())
    assert python("quickstart.md")[0] in (DOCS.parent / "README.md").read_text(encoding="utf-8")
    said = [line for page in PAGES for line in lines(page)]
    assert [other for other in OTHERS if not any(line.startswith(other) for line in said)] == []
    forms = ("torchrun ", "python main_pretrain.py ", "python -m benchmarks ")
    assert [form for form in forms if not any(line.startswith(form) for line in said)] == []  # indented, all of them


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_exist(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert ((DOCS / page).parent / target).exists(), target


def test_what_is_yours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prior, the graph and the conformance test of the page, the last by pytest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    prior, graph, test = blocks("yours.md", "python")
    (tmp_path / "mine.py").write_text(prior, encoding="utf-8")
    command = "embed --data digits --split test --prior python:mine:colours --out features"
    assert main(command.split()) == 0
    assert np.load(tmp_path / "features" / "features.npy").shape == (360, 3)
    exec(compile(graph, "yours.md", "exec"), {})
    (tmp_path / "test_mine.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.slow
def test_adassl_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page does with its run, here on a shorter one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    command = "train --config-name adassl_simclr profile=debug data.subset=64 optimizer.batch_size=32 max_epochs=1"
    assert main([*command.split(), "run_dir=runs/digits"]) == 0
    (example,) = python("adassl.md")
    names: dict[str, Any] = {}
    exec(compile(example, "adassl.md", "exec"), names)
    assert names["drawn"].shape[:2] == (16, 4)
    rows = names["found"].rows
    assert rows.shape == (4, 5)
    assert all(len(set(row)) == 5 and set(row) <= set(range(64)) for row in rows.tolist())


@pytest.mark.slow
def test_the_tutorial(tmp_path: Path) -> None:
    """Every block of the page, one after the other, on fewer and smaller images."""
    less = {"cifar10": "digits", "3000": "256", "1000": "48", "profile=cpu": "profile=debug", " lite0": " hog"}
    less |= {"uv run ": "", "max_epochs=10": "max_epochs=2"}
    script, commands = blocks("tutorial.md", "python")[0], blocks("tutorial.md", "bash")
    for large, small in less.items():
        script, commands = script.replace(large, small), [block.replace(large, small) for block in commands]
    (tmp_path / "photos.py").write_text(script, encoding="utf-8")
    variables = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PAL_CACHE": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        ["bash", "-e", "-x"], input="\n".join(commands), cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "look" / "graph.html").exists()
    assert (tmp_path / "runs" / "photos" / "model.ckpt").exists()
    assert done.stdout.count("knn: top1") == 3  # trained on pairs of neighbours, the prior itself, and trained without
