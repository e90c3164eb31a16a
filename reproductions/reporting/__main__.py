"""Write the report: `python -m reproductions.reporting`, which is what `pal report` runs."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from pal_plugin.cli import guarded
from pal_plugin.errors import ConfigError
from pal_plugin.io import atomic_path
from reproductions.adassl.report import REPORT as ADASSL
from reproductions.gps_ssl.report import REPORT as GPS_SSL
from reproductions.layout import ROOT
from reproductions.pal.report import REPORT as PAL
from reproductions.reporting.finding import Figure
from reproductions.reporting.markdown import HEAD, profiles, report
from reproductions.reporting.page import page
from reproductions.zero_shot_al.report import REPORT as ZERO_SHOT_AL

PAPERS = (GPS_SSL, PAL, ADASSL, ZERO_SHOT_AL)
FIGURES = "figures"


def write(folder: Path) -> Path:
    """Write README.md, index.html and the figures, and return the page.

    All results are read before anything is written, the figures are written before what shows them, and each file all
    or nothing: a report that is there stays whole, whenever this one ends.

    Args:
        folder: where to; pictures of an earlier report that this one no longer has are removed.

    Raises:
        ConfigError: the folder's README.md is no report.
    """
    _refuse_foreign(folder / "README.md")
    figures: dict[Path, Figure] = {}
    pictures: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for paper in PAPERS:
        for profile in profiles():
            for figure in paper.figures(profile):
                suffix = ".svg" if figure.draw else ".png"
                file = Path(FIGURES, f"{paper.name}_{profile}_{figure.name}{suffix}")
                figures[folder / file] = figure
                pictures.setdefault((paper.name, profile), []).append((file.as_posix(), figure.alt))
    text = report(PAPERS, pictures)
    for path, figure in figures.items():
        _write(figure, path)
    for name, content in {"README.md": text, "index.html": page(text, folder)}.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    for paper in PAPERS:
        for old in (folder / FIGURES).glob(f"{paper.name}_*_*"):
            if old not in figures:
                old.unlink()
    return folder / "index.html"


def _refuse_foreign(readme: Path) -> None:
    """Raise where the report would take the place of another README, of a whole repository perhaps."""
    if readme.is_file() and not readme.read_bytes().startswith(HEAD.splitlines()[0].encode()):
        raise ConfigError(f"{readme} is not a report's, which would take its place", "Choose another folder: --out")


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if figure.draw:
        figure.draw(path)
    elif figure.source:
        with atomic_path(path) as temporary:
            shutil.copyfile(figure.source, temporary)


def main() -> int:
    """Write the report and say where it is."""
    parser = argparse.ArgumentParser(prog="pal report", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "report", help="folder; default: %(default)s")
    print(f"The report is {write(parser.parse_args().out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main))
