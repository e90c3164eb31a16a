"""What the README says is true: its code runs, its configs exist, its numbers are those of the result files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pal_plugin.cli import _parser
from pal_plugin.launch import compose, config_names
from pal_plugin.methods import method_names
from reproductions.readme import refreshed

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    index, views, targets = names["index"], names["views"], names["targets"]
    assert (index.shape, views[1].shape, targets.shape) == ((16, 2), (16, 3, 32, 32), (16, 2))
    assert names["rows"].shape == (64, 512)
    assert tuple(names["cfg"].normalisation.mean) == names["seen"].mean


def test_configs_and_methods_exist() -> None:
    assert set(re.findall(r"--config-name (\w+)", TEXT)) <= set(config_names())
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|.*\| (`\w+`|the same names) \|", TEXT, re.MULTILINE)
    named = {name for cells in rows for name in re.findall(r"`(\w+)`", " ".join(cells))}
    assert named == set(config_names())
    assert named <= set(method_names())


def test_the_commands_are_the_command_lines() -> None:
    """Every override is one that the config has, and every option one that its command has."""
    whole = [block.replace("\\\n", " ") for block in blocks("bash")]
    lines = [line for block in whole for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[3:] for line in lines if line.startswith("uv run pal ")]
    ours = "uv run python main_pretrain.py "
    commands += [["train", *shlex.split(line, comments=True)[4:]] for line in lines if line.startswith(ours)]
    assert {command[0] for command in commands} >= {"train", "embed", "graph", "eval"}
    for command in commands:
        if command[0] == "train":
            assert command[1] == "--config-name"
            compose(command[2], command[3:])
        else:
            _parser().parse_args(command)


def test_the_tables_are_the_result_files() -> None:
    assert refreshed(TEXT, ROOT) == TEXT


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
