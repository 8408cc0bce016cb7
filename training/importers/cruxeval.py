"""CRUXEval's scored generations: `sample_scored_<model>_temp<t>_<input|output>.json` and `cruxeval.jsonl`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.importers.foreign import Row, find_file, json_file, jsonl_rows, object_row
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample

_SCORED = re.compile(
    r"sample_scored_(?P<model>.+)_temp(?P<temperature>\d+(?:\.\d+)?)_(?P<mode>input|output)\.json"
)
_ASKED = {"input": "{code}\n# output: {output}  <- input?", "output": "{code}\n# input: {input}  -> output?"}


@dataclass(frozen=True, slots=True)
class CRUXEval:
    """The task is what was to be predicted; one model at several temperatures is several backends.

    `source` is a checkout, or a folder with `cruxeval.jsonl` and the scored files at any depth.
    """

    def read(self, source: Path) -> ImportedRows:
        problems = _problems(find_file(source, "data/cruxeval.jsonl", "cruxeval.jsonl"))
        scored = [
            (path, found)
            for path in sorted(source.rglob("*.json"))
            if (found := _SCORED.fullmatch(path.name))
        ]
        if not scored:
            raise TrainingError(f"{source}: no sample_scored_<model>_temp<t>_<input|output>.json below it")
        variants = {(found["model"], found["temperature"]) for _, found in scored}
        models = [model for model, _ in variants]
        queries: dict[str, ImportedQuery] = {}
        samples: list[ImportedSample] = []
        for path, found in scored:
            mode, model = found["mode"], found["model"]
            backend = f"{model}@{found['temperature']}" if models.count(model) > 1 else model
            params = json.dumps({"temperature": float(found["temperature"])})
            content = object_row(str(path), json_file(path))
            answers, verdicts = (
                _lists(content, key) for key in ("raw_generations", "raw_scored_generations")
            )
            for name, generated in answers.items():
                problem, right = problems.get(name), verdicts.get(name)
                if problem is None or right is None or len(right) != len(generated):
                    raise TrainingError(f"{path}: {name}: no such problem, or not one score per generation")
                query_id = f"{name}-{mode}"
                queries.setdefault(
                    query_id, ImportedQuery(query_id, _ASKED[mode].format_map(problem), mode, problem[mode])
                )
                samples += [
                    ImportedSample(
                        query_id,
                        backend,
                        at,
                        answer=str(answer),
                        reward=Row(f"{path}: {name}", {"score": passed}).maybe_number("score", 0, 1),
                        params=params,
                    )
                    for at, (answer, passed) in enumerate(zip(generated, right, strict=True))
                ]
        return ImportedRows(list(queries.values()), samples, "github.com/facebookresearch/cruxeval", "MIT")


def _problems(path: Path) -> dict[str, dict[str, str]]:
    problems: dict[str, dict[str, str]] = {}
    for row in jsonl_rows(path):
        problem = {key: row.cells.get(key) for key in ("code", "input", "output")}
        for key, value in problem.items():
            if not isinstance(value, str):  # an empty input is one: the function takes no arguments
                raise row.wrong(key, "must be a text")
        problems[row.text("id")] = {key: str(value) for key, value in problem.items()}
    return problems


def _lists(content: Row, key: str) -> dict[str, list[object]]:
    value = content.cells.get(key)
    if not isinstance(value, dict) or not all(isinstance(item, list) for item in value.values()):
        raise content.wrong(key, "must be an object of lists")
    return value
