"""What answers cost, and the curve of what they bought."""

from __future__ import annotations

import csv
import json

import pytest

from pal_plugin.errors import ConfigError, OracleError
from pal_plugin.oracle import Account, Grid, Pairs, Point, Prices, write_curve


def test_accounts_add_up():
    grid = Account.of(Grid(0, [1, 2, 3]), [1, -1, 0], seconds=2.5)
    assert grid == Account(questions=1, grids=1, clicks=3, answers=2, unsure=1, seconds=2.5)
    pairs = Account.of(Pairs([0, 1], [2, 3]), [1, -1], seconds=1.0, clicks=7)
    assert grid + pairs == Account(questions=3, grids=1, clicks=10, answers=4, unsure=1, seconds=3.5)
    assert sum([grid, pairs], Account()) == grid + pairs


def test_prices():
    account = Account(clicks=10, seconds=60.0)
    assert Prices(per_click=0.01, per_second=0.005, currency="€").cost(account) == pytest.approx(0.4)
    assert Prices().cost(account) == 0


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf"), "1", None, True])
@pytest.mark.parametrize("name", ["per_click", "per_second"])
def test_what_is_no_price(name, price):
    with pytest.raises(OracleError, match=rf"{name}=.*--per-"):
        Prices(**{name: price})


def test_a_curve_is_read_back(tmp_path):
    points = [
        Point(Account(), 0, 0),
        Point(Account(questions=2, grids=1, clicks=5, answers=10, seconds=1.5), 12, 30, cost=0.4, accuracy=51.5),
    ]
    write_curve(tmp_path / "curve.json", points)
    rows = json.loads((tmp_path / "curve.json").read_text())
    assert rows[0]["known_per_answer"] is None
    assert rows[1] == {
        **{"questions": 2, "grids": 1, "clicks": 5, "answers": 10, "unsure": 0, "seconds": 1.5},
        **{"related": 12, "unrelated": 30, "known": 42, "known_per_answer": 4.2},
        **{"cost": 0.4, "purity": None, "accuracy": 51.5},
    }
    write_curve(tmp_path / "curve.csv", points)
    with (tmp_path / "curve.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["known"] for row in read] == ["0", "42"]
    assert read[0]["accuracy"] == ""
    assert list(read[1]) == list(rows[1])
    assert {path.name for path in tmp_path.iterdir()} == {"curve.json", "curve.csv"}


def test_a_curve_of_another_suffix_and_an_empty_one(tmp_path):
    with pytest.raises(ConfigError, match=r"curve\.txt.*\.csv or \.json"):
        write_curve(tmp_path / "curve.txt", [])
    write_curve(tmp_path / "curve.csv", [])
    assert (tmp_path / "curve.csv").read_text().startswith("questions,grids,clicks")
