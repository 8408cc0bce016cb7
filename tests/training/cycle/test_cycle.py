"""From the log to a promoted bundle, once or as often as one likes, whatever kills it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from training.cycle.journal import Journal
from training.cycle.run import Wishes, run_cycle
from training.errors import TrainingError

pytestmark = pytest.mark.timeout(600)  # fits and gates, on a machine that others use
WISHES = Wishes(least_new=50, spend_growth=10.0)
STAGES = ("export", "canary", "drift", "fit", "evaluate", "promote")


def clock(start: float = 2e9):
    ticks = itertools.count()
    return lambda: start + next(ticks)


def test_a_better_bundle_is_fitted_proved_and_promoted(place):
    done = run_cycle(place, WISHES, clock())
    assert tuple(done.stages) == STAGES
    assert done.stages["evaluate"]["gain"]["low"] > 0
    assert place.shelf.releases().active == done.stages["fit"]["version"]


def test_without_new_labels_nothing_is_fitted(place):
    first = run_cycle(place, WISHES, clock())
    again = run_cycle(place, WISHES, clock(3e9))
    assert again.number == first.number + 1
    assert again.stages["export"]["decisions"] == 0
    assert again.stages["fit"]["version"] == ""
    assert place.shelf.releases().number == 1


class Killed(BaseException):
    """As if the process were gone."""


@pytest.mark.parametrize("when", ["before it is written down", "after it is written down"])
def test_a_cycle_killed_around_any_stage_goes_on_to_the_same_end(place, monkeypatch, when):
    kept, written = Journal._write, []

    def write(self, what) -> None:
        stages = what.cycles[-1].stages if what.cycles else {}
        dies = len(stages) and len(stages) not in written and what.cycles[-1].ended_at is None
        if dies and when.startswith("before"):
            written.append(len(stages))
            raise Killed
        kept(self, what)
        if dies:
            written.append(len(stages))
            raise Killed

    monkeypatch.setattr(Journal, "_write", write)
    done = None
    for _ in range(10):
        try:
            done = run_cycle(place, WISHES, clock())
            break
        except Killed:
            continue
    assert done is not None
    assert written == [1, 2, 3, 4, 5, 6]
    assert done.number == 1
    assert tuple(done.stages) == STAGES
    releases = place.shelf.releases()
    assert (releases.active, releases.number) == (done.stages["fit"]["version"], 1)
    assert place.shelf.versions() == [releases.active]


def test_a_cycle_that_is_really_killed_is_ended_by_the_next_one(place):
    folder = place.base
    command = [sys.executable, "-m", "training", "cycle", "-c", str(folder / "router.toml"), "--canary", "0"]
    command += ["--spend-growth", "10", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = place.work / "journal.json"
    while process.poll() is None and not (journal.exists() and "drift" in journal.read_text()):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert Journal(place.work).read().cycles[-1].ended_at is None
    done = run_cycle(place, WISHES, clock())
    assert done.number == 1
    assert place.shelf.releases().active == done.stages["fit"]["version"]


def test_a_dry_run_says_what_it_would_do_and_changes_nothing_that_serves(place):
    from training.cycle_command import cycle

    before = sorted(path for path in place.base.rglob("*") if "decisions.db" not in path.name)
    cycle(place.base / "router.toml", "", None, dry_run=True, as_json=True, spend_growth=10.0, canary=0.0, cap=1000,
          least_new=50, margin=0.0, alpha=0.1, registry="", recalibrate=False)  # fmt: skip
    assert sorted(path for path in place.base.rglob("*") if "decisions.db" not in path.name) == before


def test_a_dry_run_is_one_of_its_own_where_a_cycle_was_killed(place, capsys):
    from training.cycle_command import cycle

    journal = Journal(place.work)
    with journal.alone():
        journal.unfinished(1e9)
        journal.stage("export", dict)
    cycle(place.base / "router.toml", "", None, dry_run=True, as_json=True, spend_growth=10.0, canary=0.0, cap=1000,
          least_new=50, margin=0.0, alpha=0.1, registry="", recalibrate=False)  # fmt: skip
    assert json.loads(capsys.readouterr().out)["export"]["decisions"] == 700
    assert journal.read().cycles[-1].ended_at is None


def test_the_command_prints_one_object_with_what_every_stage_found(place, capsys):
    from training.cycle_command import cycle

    cycle(place.base / "router.toml", "", None, as_json=True, spend_growth=10.0, canary=0.0, cap=1000,
          least_new=50, margin=0.0, alpha=0.1, registry="", recalibrate=False, dry_run=False)  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    assert said["promote"]["to"] == "active"
    assert said["fit"]["cap"] == 1000


def test_a_candidate_that_is_no_better_than_the_margin_is_not_promoted(place, ask_more):
    first = run_cycle(place, WISHES, clock())
    asyncio.run(ask_more(place.base, 400, 2))
    again = run_cycle(place, Wishes(least_new=50, spend_growth=10.0, margin=0.001), clock(3e9))
    assert again.stages["fit"]["version"] not in ("", first.stages["fit"]["version"])
    assert not again.stages["evaluate"]["promote"]
    assert place.shelf.releases().active == first.stages["fit"]["version"]
    assert Journal(place.work).read().tests in (0, 1)


def test_a_bundle_is_recalibrated_without_a_fit_once_it_has_decided(place, ask_more):
    first = run_cycle(place, WISHES, clock())
    asyncio.run(ask_more(place.base, 300, 3))
    again = run_cycle(place, Wishes(least_new=50, spend_growth=10.0, recalibrate=True), clock(3e9))
    fitted = again.stages["fit"]
    assert fitted["recalibrated"]
    assert fitted["version"] not in ("", first.stages["fit"]["version"])
    assert "evaluate" in again.stages


def test_two_cycles_do_not_run_in_one_folder(place):
    with Journal(place.work).alone(), pytest.raises(TrainingError, match="another cycle is running"):
        run_cycle(place, WISHES, clock())
