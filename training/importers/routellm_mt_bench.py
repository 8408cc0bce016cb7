"""RouteLLM's MT-Bench judgements: `judgements.jsonl` (a judge's 1 to 10 per turn) and `question.jsonl`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.importers.foreign import find_file, jsonl_rows
from training.importers.routellm import SOURCE, contaminated_prompts
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample


@dataclass(frozen=True, slots=True)
class RouteLLMMTBench:
    """Reward (score − 1)/9; each turn is a query, the second with the first's text in front of it.

    `source` is a checkout, its folder `routellm/evals/mt_bench`, or `judgements.jsonl` with `question.jsonl` beside
    it. A judgement without a score (the judge writes −1 where it gave none) is left unlabelled.
    """

    without_contaminated: bool = False  # leave out the questions that the paper leaves out

    def read(self, source: Path) -> ImportedRows:
        name = "judgements.jsonl"
        path = find_file(source, name, f"routellm/evals/mt_bench/{name}")
        left_out = contaminated_prompts(path.parent) if self.without_contaminated else frozenset()
        questions = _questions(path.with_name("question.jsonl"))
        queries: dict[str, ImportedQuery] = {}
        samples: list[ImportedSample] = []
        for row in jsonl_rows(path):
            number, turn = row.text("question_id"), row.maybe_count("turn")
            turns = questions.get(number)
            if turns is None or turn is None or not 1 <= turn <= len(turns):
                raise row.wrong(
                    "turn", f"is {turn}: question {number} has {len(turns or ())} turns in question.jsonl"
                )
            if left_out.intersection(turns):
                continue
            query_id, text = f"{number}/{turn}", "\n\n".join(turns[:turn])
            queries.setdefault(query_id, ImportedQuery(query_id, text, f"mt-bench turn {turn}"))
            score = row.maybe_number("score", -1, 10)
            reward = None if score is None or score < 1 else (score - 1) / 9
            samples.append(ImportedSample(query_id, row.text("model"), reward=reward))
        return ImportedRows(
            list(queries.values()), samples, f"{SOURCE} routellm/evals/mt_bench", "Apache-2.0"
        )


def _questions(path: Path) -> dict[str, tuple[str, ...]]:
    if not path.is_file():
        raise TrainingError(f"{path}: missing; it holds the questions that the judgements are about")
    questions: dict[str, tuple[str, ...]] = {}
    for row in jsonl_rows(path):
        turns = row.cells.get("turns")
        if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
            raise row.wrong("turns", "must be a list of texts")
        questions[row.text("question_id")] = tuple(turns)
    return questions
