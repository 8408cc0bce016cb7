"""Foreign data to recordings. To add a format, write a module here and give it a line in `IMPORTERS`.

An importer is a frozen dataclass, every field with a default, and one method.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from training.importers.rows import ImportedRows


@runtime_checkable
class Importer(Protocol):
    """A file or folder of somebody's format in; queries and samples out."""

    def read(self, source: Path) -> ImportedRows:
        """Read everything. Raises `TrainingError` naming file, line and column of what does not fit."""
        ...


IMPORTERS = {
    "csv": "training.importers.csv_file:CSV",
    "jsonl": "training.importers.jsonl:JSONL",
    "routellm-mmlu": "training.importers.routellm_mmlu:RouteLLMMMLU",
    "routellm-gsm8k": "training.importers.routellm_gsm8k:RouteLLMGSM8K",
    "routellm-mt-bench": "training.importers.routellm_mt_bench:RouteLLMMTBench",
    "reasoning-gym": "training.importers.reasoning_gym:ReasoningGym",
    "cruxeval": "training.importers.cruxeval:CRUXEval",
    "anytime": "training.importers.anytime:Anytime",
}
