"""What an importer returns: queries and samples with the recording format's columns, checked as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class ImportedQuery:
    """One row of `queries.parquet`."""

    query_id: str
    query: str
    task: str | None = None
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedSample:
    """One row of `samples.parquet`; None: not known."""

    query_id: str
    backend: str
    sample_idx: int = 0
    prefix_tokens: int | None = None  # of a snapshot of a growing sample
    text: str | None = None
    answer: str | None = None
    reward: float | None = None  # [0, 1]
    tokens_in: int | None = None
    tokens_out: int | None = None
    chars_out: int | None = None
    first_token_s: float | None = None
    latency_s: float | None = None
    finish_reason: str | None = None
    mean_logprob: float | None = None
    first_entropy: float | None = None
    confidence: float | None = None  # [0, 1]
    params: str | None = None  # JSON of sampling parameters


@dataclass(frozen=True, slots=True)
class ImportedRows:
    """Everything of one source; making it checks that the rows fit each other. Raises `TrainingError`."""

    queries: list[ImportedQuery]
    samples: list[ImportedSample]
    source: str = ""
    licence: str = ""
    note: str = ""
    unread: tuple[str, ...] = ()  # columns of the source that nobody asked for
    backends: tuple[str, ...] = field(init=False)  # in order of appearance

    def __post_init__(self) -> None:
        if not self.queries or not self.samples:
            raise TrainingError(f"{self.source or 'import'}: no queries or no samples were found")
        known: set[str] = set()
        for query in self.queries:
            if not query.query_id or query.query_id in known:
                raise TrainingError(f"query_id {query.query_id!r} is empty or occurs more than once")
            known.add(query.query_id)
        seen: set[tuple[str, str, int, int | None]] = set()
        for sample in self.samples:
            name = sample.query_id, sample.backend, sample.sample_idx, sample.prefix_tokens
            if sample.query_id not in known:
                raise TrainingError(
                    f"a sample of {sample.backend!r} has the query_id {sample.query_id!r}: no such query"
                )
            if name in seen:
                raise TrainingError(
                    f"sample {sample.sample_idx} of {sample.backend!r} for query {sample.query_id!r} occurs twice"
                )
            seen.add(name)
            _check_shares(sample)
        object.__setattr__(self, "backends", tuple(dict.fromkeys(sample.backend for sample in self.samples)))
        for backend in self.backends:
            if not (backend and backend.isprintable()):
                raise TrainingError(f"{backend!r} is no name of a backend: printable text is expected")


def _check_shares(sample: ImportedSample) -> None:
    for column, value in (("reward", sample.reward), ("confidence", sample.confidence)):
        if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
            raise TrainingError(f"query {sample.query_id!r}: {column} must be in [0, 1], got {value}")
