"""Graders over the log: what a verifier says of answers that were given, as outcomes beside the reported ones.

A grade is an outcome of the source `grader:NAME` about its decision, in files of the export's own (`grades/`): a
decision is graded once by a grader under a metric, and a reader weighs grades by `[rewards] sources` like anybody's
word. What would have been right (`gold`) is the latest demonstration that was reported about the decision; references
are the answers of its shadow runs. Rows whose texts were not kept cannot be graded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from router.domain.decision import Outcome
from training.ask_ahead import ask_ahead
from training.grade_rows import grade_rows
from training.graders import EVERY_TASK, parse_grader
from training.log.manifest import read_manifest, write_manifest
from training.log.outcome_columns import Arrived, outcome_table
from training.log.parts import write_part
from training.log.place import Place
from training.log.read import DecisionLog, read_log

COLUMNS = ("query_text", "answer_text", "answer", "replied")
SOURCE = "grader:"  # before the grader's name
# characters of a source; longer graders end in a hash, so that they are not taken for one another
LONGEST = 128


@dataclass(frozen=True, slots=True)
class LogGraded:
    """What one grading did."""

    graded: int
    before: int  # decisions that this grader had graded before, under this metric
    without_text: int
    unlabelled: int  # the verifier lacks what it needs: gold, a reference
    mean: float | None  # of the grades; None without one


def grade_log(root: str, grader: str, metric: str, now_s: float, concurrency: int = 16) -> LogGraded:
    """Grade the decisions that were answered and that this grader has not seen; `grader` as `parse_grader` takes it.

    Raises `TrainingError`.
    """
    parsed = {EVERY_TASK: parse_grader(grader)}
    log = read_log(root, columns=COLUMNS)
    source = source_of(grader)
    seen = _graded(log, source, metric)
    gold, references = _gold(log), _references(log)
    queries: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    before = without_text = 0
    tenants: dict[str, str] = {}
    for row in log.table.to_pylist():
        name = row["decision_id"]
        if not row["replied"]:
            continue
        if name in seen:
            before += 1
        elif row["query_text"] is None or (row["answer_text"] is None and row["answer"] is None):
            without_text += 1
        else:
            queries[name] = {
                "query_id": name,
                "query": row["query_text"],
                "gold": gold.get(name),
                "task": None,
            }
            rows.append({"query_id": name, "text": row["answer_text"], "answer": row["answer"]})
            tenants[name] = row["tenant"]
    place = Place(root.rstrip("/"))
    beside = Path(place.root) if place.local else Path()
    ready, _ = ask_ahead(queries, rows, parsed, references, recording=beside, concurrency=concurrency)
    grades = grade_rows(queries, rows, ready, references).rewards
    outcomes = [
        _outcome(row["query_id"], tenants[row["query_id"]], float(grade), metric, source, now_s)
        for row, grade in zip(rows, grades, strict=True)
        if grade is not None
    ]
    if outcomes:
        _write(place, outcomes, now_s)
    values = [float(outcome.value) for outcome in outcomes]
    mean = sum(values) / len(values) if values else None
    return LogGraded(len(outcomes), before, without_text, len(rows) - len(outcomes), mean)


def source_of(grader: str) -> str:
    """Who says what a grader says."""
    whole = f"{SOURCE}{grader}"
    if len(whole) <= LONGEST:
        return whole
    mark = f"#{blake2b(whole.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"
    return whole[: LONGEST - len(mark)] + mark


def _write(place: Place, outcomes: list[Outcome], now_s: float) -> None:
    manifest = read_manifest(place)
    table = outcome_table([Arrived(0, now_s, outcome) for outcome in outcomes])
    path = f"grades/{len(manifest.of('grades')):06d}-{int(now_s * 1000):014d}.parquet"
    part = write_part(place, path, "grades", "", table)
    write_manifest(place, msgspec.structs.replace(manifest, files=(*manifest.files, part), updated_at=now_s))


def _outcome(name: str, tenant: str, grade: float, metric: str, source: str, now_s: float) -> Outcome:
    key = f"{source}/{metric}/{name}"
    plain = Outcome(key, metric, grade, "number", decision_id=name, source=source, key=key)
    return replace(plain, tenant=tenant, observed_at=now_s)


def _graded(log: DecisionLog, source: str, metric: str) -> set[str]:
    rows = log.outcomes.select(["source", "metric", "subject_id"]).to_pylist()
    return {row["subject_id"] for row in rows if (row["source"], row["metric"]) == (source, metric)}


def _gold(log: DecisionLog) -> dict[str, str]:
    kinds, texts = log.outcomes["kind"].to_pylist(), log.outcomes["text"].to_pylist()
    ids = log.texts("decision_id")
    found: dict[str, str] = {}
    for outcome, decision in zip(log.pair_outcome.tolist(), log.pair_decision.tolist(), strict=True):
        if kinds[outcome] == "demonstration" and texts[outcome]:
            found[str(ids[decision])] = texts[outcome]  # outcomes are in the order of their arrival
    return found


def _references(log: DecisionLog) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    served = zip(log.texts("shadow_of"), log.texts("answer"), strict=True)
    for name, answer in served:
        if name is not None and answer is not None:
            found.setdefault(name, []).append(answer)
    return found
