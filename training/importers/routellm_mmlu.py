"""RouteLLM's MMLU outcomes: a folder of `mmlu_<subject>.csv` (prompt, one column of True/False per model)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.importers.foreign import csv_rows
from training.importers.routellm import SOURCE, contaminated_prompts, models_of, verdict
from training.importers.rows import ImportedQuery, ImportedRows, ImportedSample


@dataclass(frozen=True, slots=True)
class RouteLLMMMLU:
    """The subject becomes the task. The files hold neither answers nor gold letters, only who was right.

    `source` is a checkout, its folder `routellm/evals/mmlu`, or the folder with the files.
    """

    without_contaminated: bool = False  # leave out the few prompts that the paper leaves out

    def read(self, source: Path) -> ImportedRows:
        folders = (source, source / "responses", source / "routellm/evals/mmlu/responses")
        folder = next((place for place in folders if any(place.glob("mmlu_*.csv"))), None)
        if folder is None:
            raise TrainingError(
                f"{source}: no mmlu_<subject>.csv here, nor in responses/ or routellm/evals/mmlu/responses/"
            )
        left_out = contaminated_prompts(folder.parent) if self.without_contaminated else frozenset()
        queries: list[ImportedQuery] = []
        samples: list[ImportedSample] = []
        for path in sorted(folder.glob("mmlu_*.csv")):
            subject = path.stem.removeprefix("mmlu_")
            for number, row in enumerate(csv_rows(path)):
                prompt = row.text("prompt")
                if prompt in left_out:
                    continue
                name = f"{subject}-{number}"
                queries.append(ImportedQuery(name, prompt, subject))
                samples += [
                    ImportedSample(name, model, reward=verdict(row, model)) for model in models_of(row)
                ]
        return ImportedRows(queries, samples, f"{SOURCE} routellm/evals/mmlu", "Apache-2.0; MMLU MIT")
