"""THE STORY of one cycle: export -> canary -> drift -> fit -> evaluate -> promote.

Every stage is written down when it is done, so that a cycle that was killed goes on where it was; each gives the same
when it is begun anew. What was fitted is promoted as it was tested. A cycle reads the log, the configuration and the
folder of bundles, and nothing else: no backend, no recording.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from predictors.bundle import Bundle
from predictors.bundle_files import load_bundle
from predictors.errors import FitError
from predictors.untrained import Untrained
from router.config import Config
from router.configuration.budgets import ledger_address
from router.configuration.build_plans import build_plans
from router.errors import StoreError
from router.learned_plans.risk_thresholds import resolve_risks
from router.rollout.agreed import changed, newest
from router.rollout.learned import Learned, read_to_serve
from router.rollout.notes import Notes, open_notes
from router.rollout.releases import BundleState, Releases
from router.rollout.shelf import Shelf
from training.cycle.canary import look_at_canary
from training.cycle.drift import drifts
from training.cycle.journal import Cycle, Journal, Written
from training.cycle.policy import BundlePolicy
from training.cycle.recalibrate import recalibrate
from training.cycle.rows import CycleRows, compared, labelled_in, read_rows
from training.errors import TrainingError
from training.fit.from_log import fit_log
from training.fit.log_rows import CAP
from training.log.export import export_log
from training.off_policy.alpha_spending import AlphaSpending
from training.off_policy.canary import Advice
from training.off_policy.gate import Terms, gate
from training.off_policy.guards import Besides, Limits
from training.one_thread import one_thread


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a cycle is asked for."""

    cap: int = CAP  # decisions that a fit reads
    least_new: int = 100  # labelled decisions since the last fit; with fewer, and no alarm, nothing is fitted
    margin: float = 0.0  # of utility, that a candidate must be better by
    alpha: float = 0.1  # of promoting anything that is not, over all tests against one incumbent
    canary: float = 0.0  # share of traffic that tries a promoted bundle first; 0: it is active at once
    spend_growth: float = 0.05  # of the incumbent's dollars per query, that a candidate may cost more
    drift_level: float = 0.001
    workers: int = 1  # processes of the export
    recalibrate: bool = False  # the candidate is what serves, with its curves recalibrated; nothing is fitted
    # look, fit and judge, change nothing that serves: candidates stay in the work folder
    dry_run: bool = False
    signing_key: Path | None = None  # PEM with the private key that candidates are signed with


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cycle works."""

    config: Config
    base: Path  # the folder that the configuration's paths are relative to
    store: str  # of decisions
    work: Path  # journal and exported log

    @property
    def shelf(self) -> Shelf:
        """Raises `TrainingError` where no folder of bundles is configured."""
        if not self.config.bundles:
            raise TrainingError(
                'cycle: no folder of bundles is configured: say bundles = "bundles" in router.toml'
            )
        return Shelf(self.base / self.config.bundles)


def run_cycle(place: Place, wishes: Wishes, clock: Callable[[], float]) -> Cycle:
    """The cycle that was begun and not ended, or a new one, to its end. Raises `TrainingError`, `StoreError`.

    `clock`: seconds since the epoch. A cycle's own time is when it began.
    """
    journal = Journal(place.work)
    with journal.alone(), one_thread():
        cycle = journal.unfinished(clock())
        walk = _Walk(place, wishes, journal, cycle)
        try:
            walk.all_stages(clock)
        finally:
            walk.notes.close()
        return journal.end(clock())


class _Walk:
    """One cycle while it runs."""

    def __init__(self, place: Place, wishes: Wishes, journal: Journal, cycle: Cycle) -> None:
        self.place, self.wishes, self.journal, self.cycle = place, wishes, journal, cycle
        self.config, self.shelf, self.now = place.config, place.shelf, cycle.began_at
        self.drafts = Shelf(place.work / "drafts") if wishes.dry_run else self.shelf  # where candidates go
        self.root = str(place.work / "log")
        self.notes: Notes = open_notes(ledger_address(self.config), place.base, lambda: self.now)
        self._rows: tuple[float, CycleRows] | None = None

    def all_stages(self, clock: Callable[[], float]) -> None:
        stage = self.journal.stage
        stage("export", lambda: self._export(clock))
        canary = stage("canary", self._canary)
        if canary.get("call") == Advice.KEEP_GOING.value:
            return
        drift = stage(
            "drift",
            self._drift,
            trusted_since=lambda written, found: max(written.trusted_since, found["since"]),
        )
        fitted = stage("fit", lambda: self._fit(bool(drift["changes"]) or bool(drift["calibration"])))
        if not fitted["version"]:
            return
        verdict = stage("evaluate", lambda: self._evaluate(fitted["version"]), tests=_tests)
        if verdict["promote"] and not self.wishes.dry_run:
            stage(
                "promote", lambda: self._promote(fitted["version"], verdict), tests=lambda written, found: 0
            )

    # ----------------------------------------------------------------------------------------------------- stages

    def _export(self, clock: Callable[[], float]) -> dict[str, Any]:
        return asdict(export_log(self.place.store, self.root, now_s=clock(), workers=self.wishes.workers))

    def _canary(self) -> dict[str, Any]:
        """Let a canary stay, go or wait."""
        releases = self._releases()
        if not releases.canary:
            return {}
        step = releases.latest(releases.canary)
        began = 0.0 if step is None else step.at
        rows = read_rows(self.root, self.config, since=began, until=np.inf, now_s=self.now)
        advice, said = look_at_canary(rows, releases.canary, self._serving(releases), releases.canary_share)
        found = {"version": releases.canary, "call": advice.value, **said}
        why = str(said["why"])
        if self.wishes.dry_run:
            return found
        if advice is Advice.ACCEPT:
            self._change(lambda base: _only_if(base, releases.canary, BundleState.ACTIVE, self.now, why))
        elif advice is Advice.ROLL_BACK:
            self._change(lambda base: base.retired(releases.canary, at=self.now, note=why))
        return found

    def _drift(self) -> dict[str, Any]:
        """Has the world changed?"""
        since = self.journal.read().trusted_since
        return drifts(self._read(since), self._serving(self._releases()), since, self.wishes.drift_level)

    def _fit(self, alarmed: bool) -> dict[str, Any]:
        """A candidate on the shelf."""
        written = self.journal.read()
        rows = self._read(written.trusted_since)
        before = [one.stages["fit"] for one in written.cycles if one.stages.get("fit", {}).get("version")]
        known = before[-1]["labelled_until"] if before else 0
        total = labelled_in(self.root, self.config, self.now) if written.trusted_since else rows.labelled
        if total - known < self.wishes.least_new and not alarmed:
            return {
                "version": "",
                "why": f"{total - known} new labels; {self.wishes.least_new} are waited for",
            }
        serving = self._serving(self._releases())
        if self.wishes.recalibrate and serving:
            bundle = recalibrate(rows, self._loaded(serving))
            if bundle.version == serving:
                return {"version": "", "why": "too few of its own decisions to recalibrate it"}
            self.drafts.add(bundle, self.wishes.signing_key)
            return self._fitted(bundle, rows, int(rows.fitted.sum()), total)
        log, reward = rows.log, np.where(rows.fitted, rows.reward, np.nan)
        try:
            bundle, found = fit_log(
                log, reward, self.config, seed=self.cycle.number, cap=self.wishes.cap, created=_said(self.now),
                now_s=self.now, before=self._loaded(serving) if serving and not written.trusted_since else None,
            )  # fmt: skip
        except FitError as error:
            return {"version": "", "why": str(error)}
        self.drafts.add(bundle, self.wishes.signing_key)
        return self._fitted(bundle, rows, found.taken, total)

    def _fitted(self, bundle: Bundle, rows: CycleRows, taken: int, total: int) -> dict[str, Any]:
        return {
            "version": bundle.version,
            "recalibrated": self.wishes.recalibrate,
            "rows": taken,
            "cap": self.wishes.cap,
            "labelled": rows.labelled,
            "labelled_until": total,
            "since": self.journal.read().trusted_since,
            "rho_from_prior": list(bundle.card.rho_from_prior),
            "counts": {name: int(count) for name, count in bundle.card.counts.items()},
        }

    def _evaluate(self, version: str) -> dict[str, Any]:
        """Is it better than what serves, on decisions that it was not fitted on?"""
        written = self.journal.read()
        spending = AlphaSpending(self.wishes.alpha, written.tests)
        plans = build_plans(self.config)
        refused = {"promote": False, "tested": False, "incumbent": self._serving(self._releases()), "rows": 0}
        try:
            candidate = read_to_serve(version, self.drafts.load, self.config, plans)
        except Exception as error:  # noqa: BLE001 (a bundle that cannot serve is not promoted, whatever is wrong)
            return {**refused, "why": str(error)}
        policies = [BundlePolicy.of(one, self.config, self.now) for one in (candidate, self._incumbent())]
        found = compared(self._read(written.trusted_since), *policies)
        terms = Terms(self.wishes.margin, limits=Limits(spend_growth=self.wishes.spend_growth))
        verdict = gate(
            found.logged, found.candidate, found.incumbent, spending=spending, terms=terms, price=found.price,
            besides=Besides(expected=found.expected), seed=self.cycle.number,
        )  # fmt: skip
        low, high = verdict.gain.interval.both()
        gain = {"mean": verdict.gain.value, "low": low, "high": high} if verdict.tested else None
        proved = f"gain {verdict.gain.value:+.4f}, at least {verdict.lower:+.4f}"
        return {
            **refused,
            "promote": verdict.promote,
            "tested": verdict.tested,
            "why": "; ".join(verdict.reasons) or proved,
            "rows": len(found.logged),
            "gain": gain,
            "verdict": verdict.to_json(),
        }

    def _promote(self, version: str, verdict: dict[str, Any]) -> dict[str, Any]:
        to = BundleState.CANARY if self.wishes.canary > 0 else BundleState.ACTIVE
        share = self.wishes.canary or None
        found = self._change(lambda base: _only_if(base, version, to, self.now, str(verdict["why"]), share))
        return {"version": version, "to": found.state(version).value, "share": found.share(version)}

    # ----------------------------------------------------------------------------------------------------- inside

    def _read(self, since: float) -> CycleRows:
        """The log as it was when the cycle's export ended."""
        if self._rows is None or self._rows[0] != since:
            found = read_rows(self.root, self.config, since=since, until=np.inf, now_s=self.now)
            self._rows = since, found
        return self._rows[1]

    def _releases(self) -> Releases:
        try:
            told = self.notes.read()
        except StoreError:
            told = {}
        return newest(told, self.shelf)

    def _change(self, change: Callable[[Releases], Releases]) -> Releases:
        return changed(change, self.notes, self.shelf)

    def _incumbent(self) -> Learned:
        plans = build_plans(self.config)
        active = self._releases().active
        if active:
            return read_to_serve(active, self.shelf.load, self.config, plans)
        if self.config.bundle:
            return read_to_serve("", self._loaded, self.config, plans)
        return Learned(Untrained(), resolve_risks(plans, Untrained())[0])

    def _loaded(self, version: str) -> Bundle:
        """A bundle that serves: the configured one where none is active."""
        if self._releases().active:
            return self.shelf.load(version)
        return load_bundle(self.place.base / self.config.bundle)

    def _serving(self, releases: Releases) -> str:
        """The version that decides: the active one, else that of the configured bundle, "" for none."""
        if releases.active or not self.config.bundle:
            return releases.active
        return self._loaded("").version


def _tests(written: Written, found: dict[str, Any]) -> int:
    return written.tests + (1 if found["tested"] else 0)


def _only_if(
    base: Releases, version: str, to: BundleState, at: float, note: str, share: float | None = None
) -> Releases:
    """Promoted, unless it is there already: a stage that was killed is done again."""
    return base if base.state(version) is to else base.promoted(version, to, share, at=at, note=note)


def _said(now_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
