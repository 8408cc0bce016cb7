"""One row per sample, with the recording format's column names or with names mapped to them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from training.errors import TrainingError
from training.importers.foreign import Row
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample

COLUMNS = (
    *(
        "query_id",
        "query",
        "task",
        "gold",
        "backend",
        "sample_idx",
        "prefix_tokens",
        "text",
        "answer",
        "reward",
    ),
    *("tokens_in", "tokens_out", "chars_out", "first_token_s", "latency_s", "finish_reason", "mean_logprob"),
    *("first_entropy", "confidence", "params"),
)


@dataclass(frozen=True, slots=True)
class LongForm:
    """How the columns of a file are called. Only the query's text must be there.

    Rows of one query may leave its task and gold to one of them. Without `query_id` equal texts are one query; without
    `sample_idx` samples are counted in their order; without a column for the backend `backend` names it.
    """

    columns: Mapping[str, str]  # our name -> theirs; a name that is not here is theirs too
    backend: str

    def __post_init__(self) -> None:
        unknown = sorted(set(self.columns) - set(COLUMNS))
        if unknown:
            raise TrainingError(f"columns: unknown name {unknown[0]!r}; choose from {', '.join(COLUMNS)}")

    def read(self, rows: Iterable[Row], source: str) -> ImportedRows:
        """All rows as queries and samples."""
        queries: dict[str, ImportedQuery] = {}
        samples: list[ImportedSample] = []
        counted: Counter[tuple[str, str, int | None]] = Counter()
        seen: dict[str, None] = {}
        for row in rows:
            seen |= dict.fromkeys(row.cells)
            query = self._query(row)
            queries[query.query_id] = agreed(queries.get(query.query_id, query), query, row, self.columns)
            sample = self._sample(row, query.query_id, counted)
            samples.append(sample)
        for ours, theirs in self.columns.items():
            if samples and theirs not in seen:
                raise TrainingError(
                    f"{source}: no column {theirs!r} for {ours!r}; columns here: {', '.join(seen)}"
                )
        read = {self._name(column) for column in COLUMNS}
        unread = tuple(name for name in seen if name not in read)
        return ImportedRows(list(queries.values()), samples, source, unread=unread)

    def _name(self, column: str) -> str:
        return self.columns.get(column, column)

    def _query(self, row: Row) -> ImportedQuery:
        text = row.text(self._name("query"))
        name = row.maybe_text(self._name("query_id"))
        if name is None:
            name = "q-" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return ImportedQuery(
            name, text, row.maybe_text(self._name("task")), row.maybe_text(self._name("gold"))
        )

    def _sample(
        self, row: Row, query_id: str, counted: Counter[tuple[str, str, int | None]]
    ) -> ImportedSample:
        backend = row.maybe_text(self._name("backend")) or self.backend
        if not backend:
            raise row.wrong(
                self._name("backend"),
                "is missing",
                "name it for all rows by --option backend=NAME, or say which column it is by --column backend=THEIRS",
            )
        prefix = row.maybe_count(self._name("prefix_tokens"))
        number = row.maybe_count(self._name("sample_idx"))
        if number is None:
            number = counted[query_id, backend, prefix]
            counted[query_id, backend, prefix] += 1
        return ImportedSample(
            query_id,
            backend,
            number,
            prefix,
            text=row.maybe_text(self._name("text")),
            answer=row.maybe_text(self._name("answer")),
            reward=row.maybe_number(self._name("reward"), 0, 1),
            tokens_in=row.maybe_count(self._name("tokens_in")),
            tokens_out=row.maybe_count(self._name("tokens_out")),
            chars_out=row.maybe_count(self._name("chars_out")),
            first_token_s=row.maybe_number(self._name("first_token_s"), 0),
            latency_s=row.maybe_number(self._name("latency_s"), 0),
            finish_reason=row.maybe_text(self._name("finish_reason")),
            mean_logprob=row.maybe_number(self._name("mean_logprob"), most=0),
            first_entropy=row.maybe_number(self._name("first_entropy"), 0),
            confidence=row.maybe_number(self._name("confidence"), 0, 1),
            params=row.maybe_text(self._name("params")),
        )


def agreed(first: ImportedQuery, again: ImportedQuery, row: Row, columns: Mapping[str, str]) -> ImportedQuery:
    """One query of what two rows say of it: what only one of them says holds, they may not contradict.

    `columns` is our name -> theirs, for messages. Raises `TrainingError`.
    """
    if first.query != again.query:
        raise row.wrong(
            columns.get("query", "query"), f"is another text than before for query_id {first.query_id!r}"
        )
    for ours, before, now in (("task", first.task, again.task), ("gold", first.gold, again.gold)):
        if None not in (before, now) and before != now:
            raise row.wrong(
                columns.get(ours, ours),
                f"is {now!r}, and was {before!r} for query_id {first.query_id!r}",
                f"different queries need different ids in {columns.get('query_id', 'query_id')!r}",
            )
    return replace(first, task=first.task or again.task, gold=first.gold or again.gold)
