"""What several commands share: options, and how figures are printed."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pal_plugin.data import ImageDataset

DATASETS = (
    "cifar10, cifar100, mnist, fashion_mnist, digits, aircraft, medmnist, three_d_ident, celeba, inat, or your own: "
    "folder, arrays, h5"
)


_LARGEST_SEED = 2**32 - 1  # of NumPy's global generator, and of scikit-learn


def file_path(text: str) -> Path:
    """Return a path, as the type of an argument.

    Raises:
        ArgumentTypeError: it is empty, as an unset variable of the shell is.
    """
    return Path(store_place(text))


def store_place(text: str) -> str:
    """Return the path or URL of a store as it stands; as the type of an argument, as `file_path`."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path; name a file or folder")
    return text


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number from `least` to `most`, or without an end."""

    def whole(text: str) -> int:
        with contextlib.suppress(ValueError):
            number = int(text)
            if least <= number and (most is None or number <= most):
                return number
        allowed = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number {allowed}")

    return whole


seed = at_least(0, _LARGEST_SEED)
"""The type of an argument that is a seed."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_dataset(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add `--data`, `--root`, `--option` and `--val-fraction`; `data_config` reads them."""
    default = "" if required else " (default: the checkpoint's own)"
    parser.add_argument("--data", required=required, metavar="NAME", help=f"{DATASETS}{default}")
    add_whereabouts(parser)


def add_whereabouts(parser: argparse.ArgumentParser) -> None:
    """Add `--root`, `--option` and `--val-fraction`: what `data_config` reads besides the data set's name."""
    add_root(parser)
    add_option(parser)
    parser.add_argument(
        "--val-fraction",
        type=float,
        metavar="F",
        help="share of train that is held out as val, where there is no val split; give what training had",
    )


def add_part(parser: argparse.ArgumentParser) -> None:
    """Add `--split`, `--subset` and `--seed`, which `load_part` reads beside what `data_config` does."""
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--subset", type=int, metavar="N", help="a stratified sample of N images")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of the sample (default: 0)")


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add `--root`."""
    parser.add_argument(
        "--root",
        type=file_path,
        metavar="PATH",
        help="where data sets are kept (default: in the cache folder); of your own data, the folder or file itself",
    )


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--option KEY=VALUE`, which fills `args.options`: a dictionary, or None where none was given."""
    parser.add_argument(
        "--option",
        action=_KeyValue,
        dest="options",
        metavar="KEY=VALUE",
        help="an option of the data set; can be repeated: labelled=false, undecodable=skip (folder), "
        "flag=pathmnist (medmnist), annotation_level=family, train_on=trainval (aircraft), lists=adassl (celeba)",
    )


def add_policy(parser: Any) -> None:
    """Add `--policy`, to a parser or a group of its options."""
    parser.add_argument(
        "--policy",
        choices=("again", "latest", "majority", "refuse"),
        default="again",
        help="what becomes of contradictions (default: asked again)",
    )


def add_prices(parser: Any) -> None:
    """Add `--per-click`, `--per-second` and `--currency`, to a parser or a group of its options."""
    parser.add_argument("--per-click", type=float, default=0.0, metavar="P", help="price of a click (default: 0)")
    parser.add_argument("--per-second", type=float, default=0.0, metavar="P", help="price of a second (default: 0)")
    parser.add_argument("--currency", default="", metavar="SIGN", help="shown with the cost, as in €")


def data_config(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_dataset` read, as `dataset_from_config` takes it."""
    return {
        "dataset": args.data,
        "root": args.root,
        "options": args.options or {},
        "val_fraction": args.val_fraction or 0.0,
    }


def load_part(args: argparse.Namespace) -> ImageDataset:
    """Load the part of the data set that `add_dataset` or `add_whereabouts`, and `add_part`, read."""
    from pal_plugin.data import dataset_from_config  # heavy: brings torch

    dataset = dataset_from_config(data_config(args), args.split)
    return dataset if args.subset is None else dataset.subset(args.subset, args.seed)


def show(values: dict[str, Any], *, as_json: bool) -> None:
    """Print figures, a line each, or as JSON."""
    if as_json:
        print(json.dumps(values, indent=2, allow_nan=False))
        return
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_text(part)}" for name, part in value.items())
        print(f"{key}: {_text(value)}")


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


class _KeyValue(argparse.Action):
    """Gathers `key=value` in a dictionary; `true` and `false` become bool."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        key, equals, value = str(values).partition("=")
        if not key or not equals:
            parser.error(f"argument {option_string}: expected KEY=VALUE, found {values!r}")
        gathered = {**(getattr(namespace, self.dest) or {}), key: {"true": True, "false": False}.get(value, value)}
        setattr(namespace, self.dest, gathered)


def device_name(name: str) -> str:
    """Return the device of that name; `auto` is a GPU where there is one."""
    if name != "auto":
        return name
    import torch  # heavy

    return "cuda" if torch.cuda.is_available() else "cpu"
