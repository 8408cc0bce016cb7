"""RouteLLM's GSM8K outcomes: `gsm8k_responses.csv` with each model's verdict and full text, `test.jsonl` with gold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from router.answers import extract
from training.importers.foreign import csv_rows, find_file, jsonl_rows
from training.importers.routellm import SOURCE, contaminated_prompts, models_of, verdict
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample


@dataclass(frozen=True, slots=True)
class RouteLLMGSM8K:
    """`source` is a checkout, its folder `routellm/evals/gsm8k`, or the CSV file. Gold is None without `test.jsonl`."""

    without_contaminated: bool = True  # leave out the prompts that the paper leaves out

    def read(self, source: Path) -> ImportedRows:
        name = "gsm8k_responses.csv"
        path = find_file(source, name, f"routellm/evals/gsm8k/{name}")
        left_out = contaminated_prompts(path.parent) if self.without_contaminated else frozenset()
        golds = _golds(path.with_name("test.jsonl"))
        queries: list[ImportedQuery] = []
        samples: list[ImportedSample] = []
        for number, row in enumerate(csv_rows(path)):
            prompt = row.text("prompt")
            if prompt in left_out:
                continue
            query_id = f"gsm8k-{number}"
            queries.append(ImportedQuery(query_id, prompt, "gsm8k", golds.get(prompt)))
            for model in models_of(row):
                text = row.maybe_text(f"{model}_response")
                samples.append(
                    ImportedSample(
                        query_id,
                        model,
                        text=text,
                        answer=None if text is None else extract(text, "number"),
                        reward=verdict(row, model),
                        chars_out=None if text is None else len(text),
                    )
                )
        note = f"{len(left_out)} contaminated prompts left out" if left_out else ""
        return ImportedRows(queries, samples, f"{SOURCE} routellm/evals/gsm8k", "Apache-2.0; GSM8K MIT", note)


def _golds(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    answers = {row.text("question"): extract(row.text("answer"), "number") for row in jsonl_rows(path)}
    return {question: gold.replace(",", "") for question, gold in answers.items() if gold is not None}
