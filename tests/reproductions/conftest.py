"""What DVC makes of dvc.yaml for some parameters: stages, their command lines and their outputs; and to run them."""

from __future__ import annotations

import runpy
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

ROOT = Path(__file__).parents[2]


class Stage(NamedTuple):
    """A stage of the matrix: its name, its command line, and what it writes, relative to the repository."""

    name: str
    cmd: str
    outs: tuple[str, ...]


class Pipeline:
    """The repository's dvc.yaml and params.yaml, copied into a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        Repo.init(str(folder), no_scm=True).close()
        shutil.copy(ROOT / "dvc.yaml", folder)

    def stages(self, overrides: Iterable[str] = (), targets: Iterable[str] = ()) -> list[Stage]:
        """Return what `dvc exp run -S OVERRIDE… TARGET…` has to run, in its order; without targets it is all."""
        shutil.copy(ROOT / "params.yaml", self.folder)
        apply_overrides(str(self.folder / "params.yaml"), list(overrides))
        with warnings.catch_warnings(), Repo(str(self.folder)) as repo:
            warnings.simplefilter("ignore", DeprecationWarning)  # of DVC's own code
            graph = repo.index.graph
            groups = {target: [stage for stage in graph if stage.name.split("@")[0] == target] for target in targets}
            assert all(groups.values()), groups  # of a group without stages DVC would run all others
            wanted = [stage for group in groups.values() for stage in group] or list(graph)
            order = {stage: None for stage in wanted for stage in nx.dfs_postorder_nodes(graph, stage)}
            return [self._stage(stage) for stage in order]

    def _stage(self, stage: object) -> Stage:
        outs = tuple(Path(out.fs_path).relative_to(self.folder).as_posix() for out in stage.outs)  # type: ignore[attr-defined]
        return Stage(stage.name, stage.cmd, outs)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("pipeline").resolve())


@pytest.fixture
def run_stage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Stage], None]:
    """Run a stage's command line in this process: each start of Python with torch would take seconds."""

    def run(stage: Stage) -> None:
        python, flag, module, *arguments = shlex.split(stage.cmd)
        assert (python, flag) == ("python", "-m")
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        found = find_spec(module)
        assert found is not None
        assert found.origin is not None
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(found.origin, run_name="__main__")
        assert stop.value.code == 0, stage
        assert not [out for out in stage.outs if not Path(out).exists()], stage

    return run
