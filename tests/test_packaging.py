"""What a stranger installs: wheel and editable, configs from any folder, pinned environment, who imports whom."""

from __future__ import annotations

import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pal_plugin
from pal_plugin.testing import SelectorConformance

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
SITE = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Build a wheel and an editable one with the project's own back-end."""
    out = tmp_path_factory.mktemp("dist")
    built = {}
    for kind in ("build_wheel", "build_editable"):
        code = f"import sys, hatchling.build as b; print('built', b.{kind}(sys.argv[1]))"
        folder = out / kind
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        built[kind] = folder / done.stdout.split()[-1]
    return built


def install(wheel: Path, folder: Path) -> Path:
    """Unpack `wheel` beside links to every other distribution of this environment."""
    folder.mkdir()
    ours = ("pal_plugin", "hydra_plugins", "_editable_impl_pal", "__pycache__")
    for entry in SITE.iterdir():
        if entry.suffix != ".pth" and not entry.name.startswith(ours):
            (folder / entry.name).symlink_to(entry)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(site: Path, code: str, cwd: Path) -> str:
    """Run `code` in an environment whose site-packages is `site`, `.pth` files included, from the folder `cwd`."""
    start = f"import site; site.addsitedir({str(site)!r})\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", start + code],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["build_wheel", "build_editable"])
def test_configs_are_found_from_an_empty_folder(wheels, tmp_path, kind):
    site = install(wheels[kind], tmp_path / "site")
    (tmp_path / "empty").mkdir()
    code = """
import pal_plugin
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from importlib.metadata import entry_points
print([p.__name__ for p in Plugins.instance().discover(SearchPathPlugin) if "Pal" in p.__name__])
import os
with initialize_config_dir(os.getcwd(), version_base="1.3"):
    print(compose("gps_simclr", ["profile=debug"]).method)
print(sorted(p.name for p in entry_points(group="pal_plugin.priors")))
print(pal_plugin.__file__)
"""
    plugins, method, names, file = python(site, code, tmp_path / "empty").splitlines()
    assert plugins == "['PalSearchPathPlugin']"
    assert method == "gps_simclr"
    assert {"lite0", "pixels"} <= set(ast.literal_eval(names))
    assert Path(file).is_relative_to(site if kind == "build_wheel" else REPOSITORY)


STRANGERS = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "acme-picks"
version = "1.0"
[project.entry-points."pal_plugin.selectors"]
acme = "acme_picks:Backwards"
broken = "acme_gone:Nothing"
""",
    "acme_picks.py": """
import numpy as np
from pal_plugin.selection.base import Selector

class Backwards(Selector):
    def _order(self, task):
        return np.sort(task.candidates)[::-1][: task.budget].astype(np.int64), None
""",
}
STRANGERS_TEST = """
from pal_plugin.selection.make import make_selector
from pal_plugin.testing import SelectorConformance

class TestAcme(SelectorConformance):
    reads_features = False
    def make(self):
        return make_selector("acme")
"""


@pytest.mark.slow
def test_a_strangers_wheel_runs_our_tests_on_its_own(wheels, tmp_path):
    """Installed beside ours: its selector is found by name, its broken entry point spoils nothing, its tests run."""
    project, empty = tmp_path / "project", tmp_path / "empty"
    project.mkdir(), empty.mkdir()
    for name, content in STRANGERS.items():
        (project / name).write_text(content)
    build = [sys.executable, "-c", "import hatchling.build; hatchling.build.build_wheel('dist')"]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    site = install(wheels["build_wheel"], tmp_path / "site")
    with zipfile.ZipFile(next((project / "dist").glob("*.whl"))) as archive:
        archive.extractall(site)
    (empty / "test_acme.py").write_text(STRANGERS_TEST)
    run = "import pytest; print(int(pytest.main(['-q', '-p', 'no:cacheprovider', 'test_acme.py'])))"
    said = python(site, run, empty)
    assert said.splitlines()[-1] == "0", said
    ran = sum(name.startswith("test_") for name in vars(SelectorConformance))
    assert f"{ran} passed" in said
    assert python(site, "import pal_plugin.selection.make as m; print(m.make_selector('random'))", empty)


def test_a_users_config_extends_ours_and_wins(tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [gps_simclr, _self_]\nseed: 77\n")
    (tmp_path / "gps_byol.yaml").write_text("method: a_config_of_mine\n")
    code = """
import sys
from hydra import compose, initialize_config_dir
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    mine = compose("mine")
    print(mine.method, mine.seed, compose("gps_byol").method)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gps_simclr", "77", "a_config_of_mine"]


def test_the_wheel_holds_every_file_of_the_package(wheels):
    with zipfile.ZipFile(wheels["build_wheel"]) as archive:
        packed = set(archive.namelist())
    for room in ("pal_plugin", "hydra_plugins"):
        files = [p for p in (REPOSITORY / room).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        assert {p.relative_to(REPOSITORY).as_posix() for p in files} <= packed
    tops = {name.split("/")[0] for name in packed}
    assert tops == {"pal_plugin", "hydra_plugins", f"pal_plugin-{pal_plugin.__version__}.dist-info"}
    assert "pal_plugin/py.typed" in packed


def test_hydra_start_up_stays_light():
    """Hydra imports every plugin whenever any Hydra program on the machine starts."""
    heavy = {"torch", "faiss", "numpy", "scipy", "solo", "lightning"}
    code = f"import sys, hydra_plugins.pal_searchpath; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == ""


def test_hydra_plugins_is_a_namespace():
    assert not (REPOSITORY / "hydra_plugins" / "__init__.py").exists()


def test_config_folders_are_packages():
    folders = {p.parent for p in (REPOSITORY / "pal_plugin" / "conf").rglob("*.yaml")}
    assert [str(f) for f in folders if not (f / "__init__.py").is_file()] == []


def pins() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (REPOSITORY / "known-good.txt").read_text().splitlines():
        requirement = Requirement(line)
        [specifier] = requirement.specifier
        assert specifier.operator == "=="
        found.setdefault(canonicalize_name(requirement.name), []).append(specifier.version)
    return found


def test_known_good_names_no_host():
    text = (REPOSITORY / "known-good.txt").read_text()
    assert not re.search(r"://|\s@\s|^-|\.(org|com)\b", text, flags=re.MULTILINE)


def test_known_good_covers_and_satisfies_every_dependency():
    pinned = pins()
    groups = PROJECT["dependency-groups"]
    for line in [*PROJECT["project"]["dependencies"], *groups["dev"], *groups["host"]]:
        requirement = Requirement(line)
        versions = pinned[canonicalize_name(requirement.name)]
        assert any(requirement.specifier.contains(v) for v in versions), f"{line} against {versions}"
    assert not {"pytorch-lightning", "lightning-bolts"} & pinned.keys()  # the host room stands in for them


def test_solo_learn_is_no_dependency_of_the_wheel(wheels):
    """Its pins (torch 1.9.1) would make `pip install` impossible."""
    with zipfile.ZipFile(wheels["build_wheel"]) as archive:
        [name] = [n for n in archive.namelist() if n.endswith("METADATA")]
        metadata = archive.read(name).decode()
    assert "solo" not in "".join(line for line in metadata.splitlines() if line.startswith("Requires-Dist"))


def test_every_dependency_says_why():
    text = (REPOSITORY / "pyproject.toml").read_text()
    extras = PROJECT["project"]["optional-dependencies"].values()
    for line in itertools.chain(PROJECT["project"]["dependencies"], *extras):
        assert re.search(rf'"{re.escape(line)}"[\],]+\s+# \w', text), f"{line} has no comment"


def test_versions_agree():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert PROJECT["project"]["version"] == pal_plugin.__version__ == citation["version"]


def test_citation_names_the_four_papers():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    found = {reference["identifiers"][0]["value"] for reference in citation["references"]}
    assert found == {"arXiv:2401.01990", "arXiv:2303.15256", "arXiv:2602.02381", "arXiv:2401.01690"}


def test_ci_is_a_script_that_bash_reads():
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


VIOLATIONS = {
    "only pal_plugin.host imports solo": ("pal_plugin/data/sources.py", "import solo.utils\n"),
    "graph, losses, oracle, selection know neither Lightning": ("pal_plugin/graph/similarity.py", "import lightning\n"),
    "nothing imports reproductions": ("pal_plugin/io.py", "import reproductions\n"),
    "methods and train sit on top": ("pal_plugin/host/detect.py", "import pal_plugin.train\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("contract", [None, *VIOLATIONS])
def test_import_contracts_hold_and_bite(tmp_path, contract):
    for room in ("pal_plugin", "reproductions"):
        shutil.copytree(REPOSITORY / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "results"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    if contract is not None:
        file, line = VIOLATIONS[contract]
        with (tmp_path / file).open("a") as module:
            module.write(line)
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    broken = re.findall(r"^(.*\S) BROKEN", done.stdout, flags=re.MULTILINE)
    assert (done.returncode == 0) == (contract is None), done.stdout + done.stderr
    assert all(name.startswith(contract or "") for name in broken)
    assert len(broken) == (contract is not None)
