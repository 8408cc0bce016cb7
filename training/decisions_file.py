"""The `--decisions` file: every decision of a benchmark or a replay as one row of Parquet.

Written block by block in row groups, so that memory stays bounded by a group however many rows there are.
Every figure of a suite can be computed again from this file and the recordings alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.errors import RecordingError
from router.recording import Recording
from training.decision_rows import NO_ANSWER, DecisionRows, Named, RowKey

ROW_GROUP = 150_000  # rows; about 20 MB in memory
OF_ONE_SAMPLE = ("calibration",)  # suites whose rows look at exactly one sample each
KEYS = ("suite", "recording", "subject", "seed", "fold", "draw", "operating_point")


def schema() -> Any:
    """The file's `pyarrow.Schema`."""
    import pyarrow as pa

    sample = pa.struct([("backend", pa.string()), ("sample_idx", pa.int32()), ("prefix_tokens", pa.int32())])
    return pa.schema(
        [
            ("suite", pa.string()),
            ("recording", pa.string()),
            ("subject", pa.string()),
            ("seed", pa.int64()),
            ("fold", pa.int32()),
            ("draw", pa.int32()),
            ("operating_point", pa.string()),
            ("query_id", pa.string()),
            # with sample_idx part of the key where a row is about one sample, else null
            (
                "backend",
                pa.string(),
            ),
            ("sample_idx", pa.int32()),
            ("plan", pa.string()),
            ("samples", pa.list_(sample)),
            ("answer", pa.string()),
            ("cost", pa.float64()),
            ("probabilities", pa.map_(pa.string(), pa.float64())),
            ("signals", pa.map_(pa.string(), pa.float64())),
        ]
    )


class DecisionsFile:
    """Writes blocks; a context manager. The file appears under its name only when it is complete."""

    def __init__(self, path: str | Path) -> None:
        import pyarrow.parquet as pq

        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._draft = self.path.with_name(f".{self.path.name}.draft")
        self._writer = pq.ParquetWriter(self._draft, schema(), compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def write(self, rows: DecisionRows, recording: Recording) -> None:
        """Add a block; `recording` resolves its queries, samples and answers."""
        if not len(rows):
            return
        self._waiting.append(to_table(rows, recording))
        self._rows += len(rows)
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=self._rows)
        self._waiting, self._rows = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        if kind is None:
            self._draft.replace(self.path)
        else:
            self._draft.unlink(missing_ok=True)


def to_table(rows: DecisionRows, recording: Recording) -> Any:
    """One block as a `pyarrow.Table` of `schema()`."""
    import pyarrow as pa

    n, key, seen = len(rows), rows.key, recording.columns
    names, answers = (
        pa.array(recording.backends, pa.string()),
        pa.array(recording.answers if rows.answers is None else rows.answers, pa.string()),
    )
    growing = ~seen.finished[rows.sample_row]
    samples = pa.StructArray.from_arrays(
        [
            names.take(pa.array(seen.backend[rows.sample_row].astype(np.int32))),
            pa.array(seen.sample_idx[rows.sample_row]),
            pa.array(seen.prefix_tokens[rows.sample_row], mask=~growing),
        ],
        names=["backend", "sample_idx", "prefix_tokens"],
    )
    fixed = {name: pa.repeat(pa.scalar(getattr(key, name), schema().field(name).type), n) for name in KEYS}
    of_one = key.suite in OF_ONE_SAMPLE
    columns = fixed | {
        "backend": samples.field("backend") if of_one else pa.nulls(n, pa.string()),
        "sample_idx": samples.field("sample_idx") if of_one else pa.nulls(n, pa.int32()),
        "query_id": pa.array([recording.queries[place].query_id for place in rows.query], pa.string()),
        "plan": pa.array(rows.plans, pa.string()).take(pa.array(rows.plan)),
        "samples": pa.ListArray.from_arrays(pa.array(rows.samples_from), samples),
        "answer": answers.take(pa.array(rows.answer, mask=rows.answer == NO_ANSWER)),
        "cost": pa.array(rows.cost),
        "probabilities": _map(rows.probabilities),
        "signals": _map(rows.signals),
    }
    return pa.table([columns[name] for name in schema().names], schema=schema())


def _map(named: Named) -> Any:
    import pyarrow as pa

    keys = pa.array(named.names, pa.string()).take(pa.array(named.codes))
    return pa.MapArray.from_arrays(pa.array(named.starts), keys, pa.array(named.values))


def read_decisions(path: str | Path, recordings: Mapping[str, Recording]) -> Iterator[DecisionRows]:
    """The blocks of a file, in its order; neighbouring rows with one key are one block.

    Raises RecordingError for a file of something else, and where a row names a recording, query or sample that is
    not there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def read(group: int) -> Any:
        try:
            return file.read_row_group(group).cast(schema())
        except (pa.ArrowException, ValueError, OSError) as error:
            raise RecordingError(f"{path}: is no file of decisions: {error}") from error

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise RecordingError(f"{path}: cannot be read as Parquet: {error}") from error
    rest = schema().empty_table()
    for group in range(file.num_row_groups):
        table = pa.concat_tables([rest, read(group)]).combine_chunks()
        starts = _block_starts(table)
        last = group == file.num_row_groups - 1
        for begin, end in pairwise(starts):
            if end < len(table) or last:
                yield _from_table(table.slice(begin, end - begin), recordings)
        rest = schema().empty_table() if last else table.slice(starts[-2])


def _block_starts(table: Any) -> list[int]:
    changed = np.zeros(len(table), dtype=bool)
    changed[:1] = True
    for name in KEYS:
        codes = table.column(name).dictionary_encode().combine_chunks().indices.to_numpy()
        changed[1:] |= codes[1:] != codes[:-1]
    return [*np.flatnonzero(changed).tolist(), len(table)]


def _from_table(table: Any, recordings: Mapping[str, Recording]) -> DecisionRows:
    import pyarrow as pa

    key = RowKey(**{name: table.column(name)[0].as_py() for name in KEYS})
    if key.recording not in recordings:
        raise RecordingError(
            f"decisions: recording {key.recording!r} is not given; there are {', '.join(recordings)}"
        )
    recording = recordings[key.recording]
    query = np.array(
        [recording.index_of(name) for name in table.column("query_id").to_pylist()], dtype=np.int32
    )
    plan = table.column("plan").dictionary_encode().combine_chunks()
    samples = table.column("samples").combine_chunks()
    starts = samples.offsets.to_numpy() - samples.offsets[0].as_py()
    flat = samples.flatten()
    backend = pa.array(recording.backends, pa.string())
    backend_code = flat.field("backend").dictionary_encode()
    places = backend_code.dictionary.to_pylist()
    unknown = set(places) - set(backend.to_pylist())
    if unknown:
        raise RecordingError(f"decisions: recording {key.recording!r} has no backend {min(unknown)!r}")
    to_backend = np.array([recording.backends.index(name) for name in places], dtype=np.int64)
    prefix = flat.field("prefix_tokens").fill_null(-1).to_numpy(zero_copy_only=False)
    owner = np.repeat(query, np.diff(starts))
    index = flat.field("sample_idx").to_numpy()
    answer = table.column("answer").combine_chunks().dictionary_encode()
    return DecisionRows(
        key=key,
        query=query,
        plans=tuple(plan.dictionary.to_pylist()),
        plan=plan.indices.to_numpy().astype(np.int32),
        samples_from=starts.astype(np.int32),
        sample_row=find_rows(recording, owner, to_backend[backend_code.indices.to_numpy()], index, prefix),
        answer=answer.indices.fill_null(NO_ANSWER).to_numpy(zero_copy_only=False).astype(np.int32),
        cost=table.column("cost").to_numpy(),
        probabilities=_named(table.column("probabilities")),
        signals=_named(table.column("signals")),
        answers=tuple(answer.dictionary.to_pylist()),
    )


def find_rows(
    recording: Recording,
    query: NDArray[Any],
    backend: NDArray[Any],
    sample_idx: NDArray[Any],
    prefix_tokens: NDArray[Any],  # -1: the finished sample
) -> NDArray[np.int64]:
    """Rows of `recording.columns` of the named samples, shape (samples,); raise RecordingError for one not recorded."""
    seen = recording.columns
    spent = np.where(seen.finished, -1, seen.prefix_tokens).astype(np.int64)
    width = 2 + max(int(spent.max(initial=0)), int(prefix_tokens.max(initial=0)))
    draws = 1 + max(int(seen.sample_idx.max(initial=0)), int(sample_idx.max(initial=0)))

    def code(q: NDArray[Any], b: NDArray[Any], s: NDArray[Any], p: NDArray[Any]) -> NDArray[np.int64]:
        cell = q.astype(np.int64) * len(recording.backends) + b
        return np.asarray((cell * draws + s) * width + (p + 1), dtype=np.int64)

    known = code(seen.query, seen.backend, seen.sample_idx, spent)
    order = np.argsort(known)
    wanted = code(query, backend, sample_idx, prefix_tokens)
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), max(len(known) - 1, 0))
    found = order[place] if len(known) else np.zeros(0, np.int64)
    wrong = np.flatnonzero(known[found] != wanted) if len(found) else np.arange(len(wanted))
    if len(wrong):
        at = int(wrong[0])
        raise RecordingError(
            f"decisions: recording {recording.name!r} has no sample {int(sample_idx[at])} of "
            f"{recording.backends[int(backend[at])]!r} for query {recording.queries[int(query[at])].query_id!r}"
        )
    return found.astype(np.int64)


def _named(column: Any) -> Named:
    array = column.combine_chunks()
    starts = array.offsets.to_numpy() - array.offsets[0].as_py()
    begin, end = array.offsets[0].as_py(), array.offsets[len(array)].as_py()
    keys = array.keys.slice(begin, end - begin).dictionary_encode()
    values = array.items.slice(begin, end - begin).to_numpy(zero_copy_only=False)
    return Named(tuple(keys.dictionary.to_pylist()), starts.astype(np.int32), keys.indices.to_numpy(), values)
