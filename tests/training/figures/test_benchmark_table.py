"""The tables that a benchmark prints."""

from __future__ import annotations

import io

from rich.console import Console

from training.benchmark_table import print_tables
from training.figures.spread import Spread


def test_how_many_queries_there_were_is_said_of_one_seed_and_of_several():
    for queries in (1187.0, Spread(1187.0, 0.0, 1187.0, 1187.0)):
        out = io.StringIO()
        figures = {"base": {"auroc": 0.5, "queries": queries}}
        print_tables("calibration", {"pattern": figures}, Console(file=out, width=150))
        assert "1187)" in out.getvalue()
        assert ".500" in out.getvalue()
