"""An exported log as a reader sees it: decisions as columns, the outcomes that count, and which is about which.

An outcome belongs to the decision, the request or the session that it names, within its tenant; one that a later
report superseded does not count, whichever of both came first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.decision_rows import Named
from training.errors import TrainingError
from training.log.joined import current_outcomes, pairs_of
from training.log.manifest import PartFile, read_manifest
from training.log.outcome_columns import micros
from training.log.parts import read_part
from training.log.place import Place
from training.log.schema import DECISIONS, NAME, OUTCOMES

NEEDED = ("decision_id", "created_at", "tenant", "request_id", "session_id", "shadow_of")


@dataclass(frozen=True, slots=True)
class DecisionLog:
    """n decisions, oldest first, and the m outcomes about them that count.

    `table` has the columns of `training.log.schema.DECISIONS` that were asked for and those that joining needs,
    `outcomes` those of `OUTCOMES`. Pair p says: outcome `pair_outcome[p]` is about decision `pair_decision[p]`; one
    about a session has a pair with each of its decisions.
    """

    table: Any = field(compare=False)  # pyarrow.Table, (n, columns)
    outcomes: Any = field(compare=False)  # pyarrow.Table, (m, columns), in order of arrival
    pair_outcome: NDArray[np.int64] = field(compare=False)  # (pairs,) row of outcomes
    pair_decision: NDArray[np.int64] = field(compare=False)  # (pairs,) row of table
    superseded: int  # outcomes that a later report took back
    unjoined: int  # outcomes about none of these decisions
    read_at: float  # seconds since the epoch: when the export was last added to

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> Any:
        """One column as one pyarrow array. Raises `TrainingError` for one that was not read."""
        if name not in self.table.column_names:
            raise TrainingError(
                f"the log was read without {name!r}; it has {', '.join(self.table.column_names)}"
            )
        found = self.table[name].combine_chunks()
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers or booleans, shape (n,); NaN where a row has none."""
        return np.asarray(self.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)

    def flags(self, name: str) -> NDArray[np.bool_]:
        """A column of booleans, shape (n,)."""
        return np.asarray(self.column(name).to_numpy(zero_copy_only=False), np.bool_)

    def times(self, name: str = "created_at") -> NDArray[np.float64]:
        """Seconds since the epoch, shape (n,)."""
        return np.asarray(self.column(name).cast(pa.int64()).to_numpy(zero_copy_only=False), np.float64) / 1e6

    def texts(self, name: str) -> list[str | None]:
        """A column of texts."""
        found: list[str | None] = self.column(name).to_pylist()
        return found

    def coded(self, name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """A column of names: the different ones, sorted, and each row's place among them, shape (n,)."""
        coded = self.column(name).cast(pa.string()).dictionary_encode()
        names = coded.dictionary.to_pylist()
        ranks = np.argsort(np.argsort(np.array(names, dtype=object)))
        return tuple(sorted(names)), ranks[coded.indices.to_numpy(zero_copy_only=False)].astype(np.int64)

    def named(self, name: str) -> Named:
        """A map of numbers (`probabilities`, `signals`, `costs`)."""
        starts, keys, items = _entries(self.column(name))
        coded = keys.cast(NAME)
        return Named(
            tuple(coded.dictionary.to_pylist()),
            starts.astype(np.int32),
            coded.indices.to_numpy(zero_copy_only=False).astype(np.int32),
            items.to_numpy(zero_copy_only=False).astype(np.float64),
        )

    def of_served(self, name: str, part: str) -> NDArray[np.float64]:
        """What a map of structs by plan (`forecasts`) says of the plan that was served, (n,); NaN: nothing."""
        starts, keys, items = _entries(self.column(name))
        owner = np.repeat(np.arange(len(self)), np.diff(starts))
        plan = self.column("plan").cast(pa.string()).fill_null("")
        mine = pc.equal(keys.cast(pa.string()), plan.take(pa.array(owner)))
        at = np.flatnonzero(mine.to_numpy(zero_copy_only=False).astype(np.bool_))
        values = items.field(part).cast(pa.float64()).take(pa.array(at)).to_numpy(zero_copy_only=False)
        found = np.full(len(self), np.nan)
        found[owner[at]] = values
        return found

    def counts(self, name: str) -> NDArray[np.int64]:
        """How many entries a column of lists has in each row, shape (n,)."""
        return np.asarray(np.diff(self.column(name).offsets.to_numpy()), np.int64)

    def first_backends(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Of decisions that ended in their first stage: names, and each row's place among them, (n,); -1: others."""
        column = self.column("samples")
        offsets = column.offsets.to_numpy()
        drawn = column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        stage = drawn.field("stage").to_numpy(zero_copy_only=False)
        later = np.append(0, np.cumsum(stage > 0))[offsets - offsets[0]]
        alone = (np.diff(offsets) > 0) & (np.diff(later) == 0)
        backend = drawn.field("backend").take(pa.array(offsets[:-1][alone] - offsets[0]))
        coded = backend.cast(pa.string()).dictionary_encode()
        found = np.full(len(self), -1)
        found[alone] = coded.indices.to_numpy(zero_copy_only=False)
        return tuple(coded.dictionary.to_pylist()), found

    def features(self) -> NDArray[np.float32]:
        """What was computed from the queries before the draw, shape (n, d); NaN rows where nothing was logged.

        Raises `TrainingError` where rows have different numbers of features: they are of different bundles.
        """
        column = self.column("features")
        lengths = np.diff(column.offsets.to_numpy())
        width = int(lengths.max(initial=0))
        if not np.isin(lengths, (0, width)).all():
            found = ", ".join(map(str, np.unique(lengths[lengths > 0])))
            raise TrainingError(f"the log's rows have {found} features: read one bundle's rows at a time")
        features = np.full((len(self), width), np.nan, dtype=np.float32)
        features[lengths > 0] = (
            column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width or 1)[:, :width]
        )
        return features

    def actions(self) -> Actions:
        """Plans by their digests: what could be drawn, with what chance, and what was drawn.

        Where another plan took over, that is part of the outcome of the drawn one.
        """
        chances = self.named("probabilities")
        starts, names, digests = _entries(self.column("digests"))
        plans = names.cast(pa.string()).to_pylist()
        offered = digests.cast(pa.string()).dictionary_encode()
        known, code = offered.dictionary.to_pylist(), offered.indices.to_numpy(zero_copy_only=False)
        # the last column: plans without a probability
        by_plan = np.zeros((len(self), len(chances.names) + 1))
        by_plan[np.repeat(np.arange(len(self)), np.diff(chances.starts)), chances.codes] = chances.values
        place = {name: at for at, name in enumerate(chances.names)}
        column = np.array([place.get(plan, -1) for plan in plans], dtype=np.int64)
        owner = np.repeat(np.arange(len(self)), np.diff(starts))
        probabilities = np.zeros((len(self), len(known)))
        probabilities[owner, code] = by_plan[owner, column]
        last = dict(zip(code.tolist(), plans, strict=True))
        index = {name: at for at, name in enumerate(known)}
        served_names, served = self.coded("digest")
        to_action = np.array([index.get(name, -1) for name in served_names], dtype=np.int64)
        offered_as = tuple(last[at] for at in range(len(known)))
        drawn, instead = to_action[served], self.texts("would_plan")
        for row in [at for at, name in enumerate(instead) if name]:
            offers = range(starts[row], starts[row + 1])
            drawn[row] = next((code[at] for at in offers if plans[at] == instead[row]), -1)
        return Actions(tuple(known), offered_as, probabilities, drawn)

    @property
    def shadows(self) -> NDArray[np.bool_]:
        """Which rows are shadow runs, shape (n,): no caller saw their answer, no outcome is about them."""
        return np.asarray(self.column("shadow_of").is_valid().to_numpy(zero_copy_only=False), np.bool_)

    def taken(self, rows: NDArray[np.bool_]) -> DecisionLog:
        """Only these rows (a mask, shape (n,)), with their outcomes."""
        place = np.cumsum(rows) - 1
        kept = rows[self.pair_decision]
        return DecisionLog(
            self.table.filter(pa.array(rows)),
            self.outcomes,
            self.pair_outcome[kept],
            place[self.pair_decision[kept]],
            self.superseded,
            self.unjoined,
            self.read_at,
        )


@dataclass(frozen=True, slots=True)
class Actions:
    """A different digests; `probabilities` 0: not feasible for that query."""

    digests: tuple[str, ...]  # (A,)
    plans: tuple[str, ...]  # (A,) the name under which each was offered last
    probabilities: NDArray[np.float64] = field(compare=False)  # (n, A)
    drawn: NDArray[np.int64] = field(compare=False)  # (n,) the drawn one; -1: not among the feasible


def read_log(
    root: str,
    *,
    columns: Collection[str] | None = None,
    since: float = -math.inf,
    until: float = math.inf,
    tenant: str = "",
) -> DecisionLog:
    """Decisions made in [since, until) (seconds since the epoch), and all outcomes about them, whenever they came.

    `columns`: of `training.log.schema.DECISIONS`, beside those that joining needs; None: all. `tenant` "": all.
    Raises `TrainingError`.
    """
    wanted = (
        DECISIONS.names if columns is None else [*NEEDED, *(name for name in columns if name not in NEEDED)]
    )
    unknown = set(wanted) - set(DECISIONS.names)
    if unknown:
        raise TrainingError(
            f"a log has no {', '.join(sorted(unknown))}; choose from {', '.join(DECISIONS.names)}"
        )
    place = Place(root.rstrip("/"))
    manifest = read_manifest(place)
    if not manifest.updated_at:
        raise TrainingError(
            f"{root}: there is no export; make one with `apportion export --store … --out {root}`"
        )
    days = _days(since, until)
    files = [file for file in manifest.of("decisions") if days[0] <= day_of(file) <= days[1]]
    table = _tables(place, files, wanted, DECISIONS)
    moments = table["created_at"].cast(pa.int64())
    kept = pc.and_(pc.greater_equal(moments, _bound(since)), pc.less(moments, _bound(until)))
    if tenant:
        kept = pc.and_(kept, pc.equal(table["tenant"].cast(pa.string()), tenant))
    if not pc.all(kept, min_count=0).as_py():  # a copy of a million rows is made only where it must be
        table = table.filter(kept)
    if not _in_order(table):
        table = table.take(
            pc.sort_indices(table, [("created_at", "ascending"), ("decision_id", "ascending")])
        )
    told = _tables(place, [*manifest.of("outcomes"), *manifest.of("grades")], OUTCOMES.names, OUTCOMES)
    current = told.filter(pa.array(current_outcomes(told)))
    outcome, decision = pairs_of(table, current)
    about = np.unique(outcome)
    renumbered = np.searchsorted(about, outcome)
    return DecisionLog(
        table,
        current.take(pa.array(about)),
        renumbered,
        decision,
        superseded=told.num_rows - current.num_rows,
        unjoined=current.num_rows - len(about),
        read_at=manifest.updated_at,
    )


def day_of(file: PartFile) -> str:
    """The day of `decisions/day=2027-01-31/….parquet`."""
    return file.path.partition("day=")[2].partition("/")[0]


def _entries(column: Any) -> tuple[NDArray[np.int64], Any, Any]:
    """Where each row's entries begin, (n + 1,), and the keys and items of all entries."""
    offsets = column.offsets.to_numpy()
    start, entries = int(offsets[0]), int(offsets[-1] - offsets[0])
    return offsets - start, column.keys.slice(start, entries), column.items.slice(start, entries)


def _in_order(table: Any) -> bool:
    """Whether rows are the oldest first already, as one store's are."""
    steps = np.diff(table["created_at"].cast(pa.int64()).to_numpy())
    if (steps < 0).any():
        return False
    same, names = np.flatnonzero(steps == 0), table["decision_id"]
    return not pc.any(pc.greater(names.take(pa.array(same)), names.take(pa.array(same + 1)))).as_py()


def _days(since: float, until: float) -> tuple[str, str]:
    first, last = (
        str(np.datetime64(micros(moment), "us").astype("datetime64[D]")) for moment in (since, until)
    )
    return first if math.isfinite(since) else "", last if math.isfinite(until) else "~"


def _bound(moment: float) -> int:
    if math.isfinite(moment):
        return micros(moment)
    return -(2**62) if moment < 0 else 2**62


def _tables(place: Place, files: Iterable[PartFile], wanted: Sequence[str], schema: Any) -> Any:
    chosen = pa.schema([schema.field(name) for name in wanted])
    parts = [read_part(place, file, chosen) for file in files]
    return pa.concat_tables([chosen.empty_table(), *parts]).unify_dictionaries()
