"""What the RouteLLM repository's evaluation files have in common: one column per model, contaminated prompts."""

from __future__ import annotations

from pathlib import Path

from training.importers.foreign import Row, jsonl_rows

SOURCE = "github.com/lm-sys/RouteLLM"
CONTAMINATED = "contaminated_prompts.jsonl"


def contaminated_prompts(folder: Path) -> frozenset[str]:
    """Prompts that stood in the routers' training data, which the paper leaves out; none where the file is missing."""
    path = folder / CONTAMINATED
    return frozenset(row.text("eval_prompt") for row in jsonl_rows(path)) if path.is_file() else frozenset()


def models_of(row: Row) -> tuple[str, ...]:
    """The columns that hold a model's verdict: all but the prompt and the models' texts."""
    return tuple(name for name in row.cells if name != "prompt" and not name.endswith("_response"))


def verdict(row: Row, model: str) -> float:
    """1 where the model was right, else 0."""
    found = row.maybe_number(model, 0, 1)
    if found is None:
        raise row.wrong(model, "is empty; True or False is expected")
    return found
