"""A recording in memory: what several backends would have answered to the same queries.

Columns are numpy arrays for benchmarks; `samples()` and `snapshots()` give one query's rows for serving. Texts
and hidden vectors stay in Arrow until asked for, so that 340,000 rows load in seconds. Rewards are in
`columns` alone, never on a `RecordedSample`: what serves a sample cannot see whether it was right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.hidden_pieces import read_pieces
from predictors.observation import Piece
from router.errors import RecordingError, UnknownName
from router.recordings.cost import (
    Prices,
    cost_of,
    latency_of,
    tokens_in_of,
    tokens_out_of,
)
from router.recordings.format import (
    QUERIES,
    QUERY_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES,
    RecordingMeta,
    read_meta,
    read_table,
    verify_checksums,
)
from router.recordings.text_split import split_by_text

__all__ = [
    "Prices",
    "RecordedQuery",
    "RecordedSample",
    "Recording",
    "RecordingMeta",
    "SampleColumns",
]


@dataclass(frozen=True, slots=True)
class RecordedQuery:
    """One row of `queries.parquet`; `task` and `gold` are None where the recording has none."""

    query_id: str
    query: str
    task: str | None = None
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """All samples, one array per column, each of shape (rows,).

    Sorted by query, backend, finished first, sample_idx, prefix_tokens. A float that was not recorded is NaN.
    """

    query: NDArray[np.int32]  # index into Recording.queries
    backend: NDArray[np.int16]  # index into Recording.backends
    sample_idx: NDArray[np.int32]
    finished: NDArray[np.bool_]  # False: a snapshot of a growing sample
    prefix_tokens: NDArray[np.int32]  # tokens spent at the snapshot; 0 and without meaning where finished
    reward: NDArray[np.float32]  # [0, 1] or NaN
    answer: NDArray[np.int32]  # index into Recording.answers, -1 where none
    tokens_in: NDArray[np.float64]  # filled in by the cost rule
    tokens_out: NDArray[np.float64]  # filled in by the cost rule; of a snapshot: prefix_tokens
    cost: NDArray[np.float64]  # dollars
    first_token_s: NDArray[np.float64]  # filled in
    latency_s: NDArray[np.float64]  # filled in
    mean_logprob: NDArray[np.float32]  # or NaN
    first_entropy: NDArray[np.float32]  # or NaN
    confidence: NDArray[np.float32]  # or NaN

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True, slots=True)
class RecordedSample:
    """One sample as a backend would have returned it: no reward. Tokens and times are filled in (§ cost rule)."""

    row: int  # index into Recording.columns
    backend: str
    sample_idx: int
    prefix_tokens: int | None  # None: finished
    text: str | None
    answer: str | None
    tokens_in: float
    tokens_out: float
    cost: float  # dollars
    first_token_s: float
    latency_s: float
    finish_reason: str | None
    mean_logprob: float | None
    first_entropy: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A folder of the recording format, checked and indexed; `load` makes one."""

    name: str  # the folder's name
    meta: RecordingMeta
    queries: tuple[RecordedQuery, ...]
    backends: tuple[str, ...]  # as meta.json orders them
    answers: tuple[str, ...]  # distinct answers
    columns: SampleColumns = field(compare=False, repr=False)
    sample_table: Any = field(compare=False, repr=False)  # pyarrow.Table in file order, unknown columns too
    cells: Mapping[str, Any] = field(compare=False, repr=False)  # its columns, each one pyarrow.Array
    file_row: NDArray[np.int64] = field(compare=False, repr=False)  # row of columns -> row of sample_table
    by_id: Mapping[str, int] = field(compare=False, repr=False)
    by_text: Mapping[str, tuple[int, ...]] = field(compare=False, repr=False)
    # (queries × backends + 1,) first row of each
    starts: NDArray[np.int64] = field(compare=False, repr=False)
    snapshots_from: NDArray[np.int64] = field(compare=False, repr=False)  # (queries × backends,)

    @classmethod
    def load(cls, folder: str | Path, *, verify: bool = True, hidden: bool = True) -> Recording:
        """Read and check a folder; raise RecordingError that names file, column and what was expected.

        Warns where a file changed since `meta.json` was written; `verify=False` skips that check.
        `hidden=False` leaves the hidden vectors on disk.
        """
        path = Path(folder)
        meta = read_meta(path)
        query_table = read_table(path / QUERIES, QUERY_COLUMNS)
        sample_table = read_table(path / SAMPLES, SAMPLE_COLUMNS, skip=() if hidden else ("hidden",))
        if verify:  # after reading: what cannot be read at all is an error, not a change
            verify_checksums(path, meta)
        return _assemble(path, meta, query_table, sample_table)

    @property
    def prices(self) -> Mapping[str, Prices]:
        """Dollars per 1M tokens, by backend."""
        return self.meta.prices

    def index_of(self, query_id: str) -> int:
        """The query's place in `queries`; raise UnknownName for an id that is not here."""
        if query_id not in self.by_id:
            raise UnknownName("query_id", query_id)
        return self.by_id[query_id]

    def queries_with_text(self, text: str) -> tuple[int, ...]:
        """Places in `queries` of those with exactly this text: none, one, or all its duplicates."""
        return self.by_text.get(text, ())

    def rows(self, query: int, backend: str) -> slice:
        """Rows of `columns` with this query's finished samples of this backend (maybe empty)."""
        cell = self._cell(query, backend)
        return slice(int(self.starts[cell]), int(self.snapshots_from[cell]))

    def samples(self, query_id: str, backend: str) -> tuple[RecordedSample, ...]:
        """The finished samples in order of `sample_idx`; empty if the backend was not run on the query."""
        rows = self.rows(self.index_of(query_id), backend)
        return tuple(self.sample(row) for row in range(rows.start, rows.stop))

    def snapshots(self, query_id: str, backend: str, sample_idx: int) -> tuple[RecordedSample, ...]:
        """The snapshots of one sample in order of `prefix_tokens`."""
        cell = self._cell(self.index_of(query_id), backend)
        rows = range(int(self.snapshots_from[cell]), int(self.starts[cell + 1]))
        return tuple(self.sample(row) for row in rows if self.columns.sample_idx[row] == sample_idx)

    def sample(self, row: int) -> RecordedSample:
        """One row of `columns` as a record."""
        seen, answer = self.columns, int(self.columns.answer[row])
        return RecordedSample(
            row=row,
            backend=self.backends[seen.backend[row]],
            sample_idx=int(seen.sample_idx[row]),
            prefix_tokens=None if seen.finished[row] else int(seen.prefix_tokens[row]),
            text=self.value(row, "text"),
            answer=None if answer < 0 else self.answers[answer],
            tokens_in=float(seen.tokens_in[row]),
            tokens_out=float(seen.tokens_out[row]),
            cost=float(seen.cost[row]),
            first_token_s=float(seen.first_token_s[row]),
            latency_s=float(seen.latency_s[row]),
            finish_reason=self.value(row, "finish_reason"),
            mean_logprob=_known(seen.mean_logprob[row]),
            first_entropy=_known(seen.first_entropy[row]),
            confidence=_known(seen.confidence[row]),
        )

    def value(self, row: int, column: str) -> Any:
        """One cell of the file's own table (`text`, `params`, an unknown column, …); None if null or absent."""
        cells = self.cells.get(column)
        return None if cells is None else cells[int(self.file_row[row])].as_py()

    def hidden(self, row: int) -> NDArray[np.float16] | None:
        """The hidden vector of a row, shape (width,), or None; a list of no numbers is none."""
        cells = self.cells.get("hidden")
        values = None if cells is None else cells[int(self.file_row[row])].values
        if values is None or not len(values):
            return None
        found: NDArray[np.float16] = values.to_numpy(zero_copy_only=False)
        return found

    def pieces(self, backend: str) -> tuple[Piece, ...]:
        """What the hidden vectors of a backend are made of; (): not said. Raises `RecordingError` for nonsense."""
        try:
            return read_pieces(self.meta.hidden.get(backend, []))
        except (ValueError, TypeError, OverflowError) as error:
            raise RecordingError(f"recording {self.name!r}: meta.json: {error}") from error

    def split(self, parts: int | Sequence[float] = 2, seed: int = 0) -> NDArray[np.int64]:
        """The part of every query by its normalised text, shape (queries,); see `split_by_text`."""
        return split_by_text([query.query for query in self.queries], parts, seed)

    def _cell(self, query: int, backend: str) -> int:
        if backend not in self.backends:
            raise UnknownName("backend of the recording", backend, self.backends)
        return query * len(self.backends) + self.backends.index(backend)


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _joined(column: Any) -> Any:
    """A pyarrow.ChunkedArray as one pyarrow.Array, whose cells are found faster."""
    import pyarrow as pa

    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.array([], column.type)


def _assemble(folder: Path, meta: RecordingMeta, query_table: Any, sample_table: Any) -> Recording:
    from router.recordings.columns import arrange

    sample_table = sample_table.combine_chunks()
    ids = query_table.column("query_id").to_pylist()
    blank: list[str | None] = [None] * len(ids)
    known = {name: query_table.column(name).to_pylist() for name in query_table.column_names[:]}
    texts: list[str] = known["query"]
    tasks, golds = known.get("task", blank), known.get("gold", blank)
    by_id = {query_id: place for place, query_id in enumerate(ids)}
    if len(by_id) < len(ids):
        twice = next(query_id for place, query_id in enumerate(ids) if by_id[query_id] != place)
        raise RecordingError(f"{folder / QUERIES}: query_id {twice!r} occurs more than once")
    by_text: dict[str, tuple[int, ...]] = {}
    for place, text in enumerate(texts):
        by_text[text] = (*by_text.get(text, ()), place)
    backends = tuple(meta.prices)
    arranged = arrange(folder / SAMPLES, sample_table, query_table, backends)
    raw = arranged.floats
    tokens_out = tokens_out_of(raw["tokens_out"], raw["chars_out"], arranged.text_chars, raw["prefix_tokens"])
    query_chars = np.array([len(text) for text in texts], dtype=np.float64)[arranged.query]
    tokens_in = tokens_in_of(raw["tokens_in"], query_chars)
    first, latency = latency_of(raw["first_token_s"], raw["latency_s"], tokens_out)
    columns = SampleColumns(
        query=arranged.query,
        backend=arranged.backend,
        sample_idx=arranged.sample_idx,
        finished=arranged.finished,
        prefix_tokens=np.nan_to_num(raw["prefix_tokens"]).astype(np.int32),
        reward=raw["reward"].astype(np.float32),
        answer=arranged.answer,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=cost_of(tokens_in, tokens_out, arranged.backend, tuple(meta.prices.values())),
        first_token_s=first,
        latency_s=latency,
        mean_logprob=raw["mean_logprob"].astype(np.float32),
        first_entropy=raw["first_entropy"].astype(np.float32),
        confidence=raw["confidence"].astype(np.float32),
    )
    return Recording(
        name=folder.resolve().name,
        meta=meta,
        queries=tuple(map(RecordedQuery, ids, texts, tasks, golds)),
        backends=backends,
        answers=arranged.answers,
        columns=columns,
        sample_table=sample_table,
        cells={name: _joined(sample_table.column(name)) for name in sample_table.column_names},
        file_row=arranged.order,
        by_id=by_id,
        by_text=by_text,
        starts=arranged.starts,
        snapshots_from=arranged.snapshots_from,
    )
