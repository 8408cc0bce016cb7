"""Which verifier judges which task, as the command line and meta.json write it, and the answer that it sees."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.answers import extract
from router.configuration.plugin_options import VERIFIER, build_plugin
from router.configuration.problems import Problems, shown
from router.plugins import resolve
from router.verifiers import VERIFIERS, Case, Verifier
from training.errors import TrainingError

EVERY_TASK = ""
Question = tuple[Case, str | None]
"""What is to be judged: a case and an answer."""


@dataclass(frozen=True, slots=True)
class Grader:
    """A verifier and how answers are extracted for it; `known` holds what it was asked side by side before."""

    verifier: Verifier
    answer_kind: str
    known: Mapping[Question, float | None] | None = None

    def score(self, case: Case, answer: str | None) -> float | None:
        """The score, out of what is known where it is there."""
        if self.known is not None and (case, answer) in self.known:
            return self.known[case, answer]
        return self.verifier.grade(case, answer)


def parse_grader(text: str) -> Grader:
    """`VERIFIER[:ANSWER_KIND]`, or `{ kind = "VERIFIER", OPTION = … }[:ANSWER_KIND]` as router.toml writes it.

    Raises `UnknownName` with the choices, or `ConfigError`.
    """
    if text.startswith("{"):
        table, _, kind = text.rpartition("}")
        if kind and not kind.startswith(":"):
            raise TrainingError(f"--verifier {shown(text)}: expected {{ kind = … }}[:ANSWER_KIND]")
        verifier: Verifier = _with_options(f"{table}}}")
        kind = kind.removeprefix(":")
    else:
        name, _, kind = text.partition(":")
        resolve("verifier", VERIFIERS, name)  # an unknown one is refused here, with the choices
        verifier = _built(name, text)
    kind = kind or verifier.answer_kind
    extract("", kind)
    extract("x", kind)  # an unknown kind is refused here, with the choices
    return Grader(verifier, kind)


def _with_options(table: str) -> Verifier:
    try:
        written = tomllib.loads(f"verifier = {table}")["verifier"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TrainingError(f"--verifier {shown(table)}: not an inline table of TOML: {error}") from error
    return _built(written, table)


def _built(written: str | Mapping[str, Any], text: str) -> Verifier:
    problems = Problems()
    verifier: Verifier | None = build_plugin(VERIFIER, written, ("verifier",), problems)
    if verifier is None:
        said = "; ".join(f"{problem.key}: {problem.text}" for problem in problems.all())
        raise TrainingError(f"--verifier {shown(text)}: {said}")
    return verifier


def named_graders(texts: Sequence[str]) -> dict[str, str]:
    """Task -> grader from `TASK=GRADER`, or from `GRADER` for every task; see `parse_grader`."""
    named: dict[str, str] = {}
    for text in texts:
        before, brace, table = text.partition("{")
        if brace:
            if before and not before.endswith("="):
                raise TrainingError(f"--verifier {shown(text)}: expected [TASK=]{{ kind = … }}")
            named[before.removesuffix("=")] = f"{{{table}"
        else:
            task, _, grader = text.rpartition("=")
            named[task] = grader
    return named


def task_of(query: Mapping[str, Any], graders: Mapping[str, Grader]) -> str:
    """The task under which `graders` may have an entry for a query."""
    task = query.get("task") or EVERY_TASK
    return task if task in graders else EVERY_TASK


def answer_of(row: Mapping[str, Any], grader: Grader) -> str | None:
    """The answer that a grader sees: out of the text where there is one.

    A snapshot's text is a part of a sample: its answer is what was said when it was asked for (`tentative`, a column
    of `collect`), else the recorded one.
    """
    if row.get("prefix_tokens") is not None:
        said = row.get("tentative")
        return row.get("answer") if said is None else extract(said, grader.answer_kind)
    if row.get("text") is not None:
        return extract(row["text"], grader.answer_kind)
    return row.get("answer")


def case_of(query: Mapping[str, Any], references: Sequence[str]) -> Case:
    """What an answer to a recorded query is held against."""
    return Case(query["query"], query.get("gold"), tuple(references), query.get("task") or "")
