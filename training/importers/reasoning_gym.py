"""Results of Reasoning Gym's evaluation scripts: a folder of JSON files, each one model on one or more data sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.importers.foreign import Row, json_file, object_row
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample

SOURCE = "github.com/open-thought/reasoning-gym-eval"

_RUN = re.compile(r"(?:[^_]+_)?(?P<model>.+?)_\d{8}_\d{6}")  # provider_model_date_time


@dataclass(frozen=True, slots=True)
class ReasoningGym:
    """Both shapes: `<run>/<category>/<data set>.json`, and one `results.json` with all categories.

    The data set is the task. Queries of different models are the same where their texts are (and, of equal texts in
    one file, their order). The model is the run's folder without provider and time, else the file's own word for it.
    Files without results (summaries) are left out. The expected answer is kept as gold only with `gold`: many tasks
    accept several answers, and their own score is the truth.
    """

    pass_at: float = 0.99  # a score from here on is a reward of 1, below 0; 0: the score itself is the reward
    texts: bool = True  # keep the full responses
    gold: bool = False
    # queries with fewer models are left out: some tasks drew other questions for every run
    least_models: int = 1

    def read(self, source: Path) -> ImportedRows:
        paths = [source] if source.is_file() else sorted(source.rglob("*.json"))
        if not paths:
            raise TrainingError(f"{source}: no JSON files here")
        gathered = _Gathered(self)
        for path in paths:
            gathered.add(path, source)
        queries, samples = gathered.of_models(self.least_models)
        note = f"reward = 1 where the task's own score >= {self.pass_at:g}" if self.pass_at else ""
        return ImportedRows(queries, samples, SOURCE, "Apache-2.0", note)


@dataclass(slots=True)
class _Gathered:
    """Queries and samples of the files so far."""

    options: ReasoningGym
    # by task, text, occurrence
    queries: dict[tuple[str, str, int], ImportedQuery] = field(default_factory=dict)
    samples: list[ImportedSample] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)  # queries per task
    drawn: Counter[tuple[str, str]] = field(default_factory=Counter)  # samples per query and backend

    def add(self, path: Path, source: Path) -> None:
        """All completions of one file."""
        content = json_file(path)
        if not isinstance(content, dict):
            return
        for data_set in _data_sets(content):
            task = Path(str(data_set.get("name", path.stem))).stem
            model = _model(path, source, content)
            seen: Counter[str] = Counter()
            for number, result in enumerate(data_set["results"]):
                row = object_row(f"{path}: {task}: result {number}", result)
                query = self._query(row, task, seen)
                completions = row.cells.get("completions")
                if not isinstance(completions, list):
                    raise row.wrong("completions", "must be a list")
                for completion in completions:
                    self._sample(object_row(f"{row.where}: completions", completion), query.query_id, model)

    def of_models(self, least: int) -> tuple[list[ImportedQuery], list[ImportedSample]]:
        """Queries that at least so many models were asked, and their samples."""
        models = Counter(query_id for query_id, _ in self.drawn)
        queries = [query for query in self.queries.values() if models[query.query_id] >= least]
        return queries, [sample for sample in self.samples if models[sample.query_id] >= least]

    def _query(self, row: Row, task: str, seen: Counter[str]) -> ImportedQuery:
        text = row.text("question")
        name = task, text, seen[text]
        seen[text] += 1
        if name not in self.queries:
            gold = row.maybe_text("expected_answer") if self.options.gold else None
            self.queries[name] = ImportedQuery(f"{task}-{self.sizes[task]}", text, task, gold)
            self.sizes[task] += 1
        return self.queries[name]

    def _sample(self, row: Row, query_id: str, model: str) -> None:
        response = row.maybe_text("full_model_response")
        score = row.maybe_number("score", 0, 1)
        if score is not None and self.options.pass_at:
            score = float(score >= self.options.pass_at)
        self.samples.append(
            ImportedSample(
                query_id,
                model,
                self.drawn[query_id, model],
                text=response if self.options.texts else None,
                answer=row.maybe_text("model_answer"),
                reward=score,
                chars_out=None if response is None else len(response),
            )
        )
        self.drawn[query_id, model] += 1


def _data_sets(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(content.get("results"), list):
        yield content
    for category in _objects(content.get("categories")):
        for data_set in _objects(category.get("datasets")):
            if isinstance(data_set.get("results"), list):
                yield data_set


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _model(path: Path, source: Path, content: dict[str, Any]) -> str:
    metadata = content.get("metadata")
    stated = metadata.get("model") if isinstance(metadata, dict) else content.get("model")
    if not stated:
        folders = (path if source.is_file() else path.relative_to(source.parent)).parts[:-1]
        for folder in reversed(folders):
            run = _RUN.fullmatch(folder)
            if run is not None:
                return run.group("model")
        stated = path.parent.name
    return str(stated).rstrip("/").rpartition("/")[2]
