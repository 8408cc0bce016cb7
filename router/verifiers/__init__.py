"""Is this answer right? One table for online verifiers and offline graders.

To add one, write a module here and give it a line in `VERIFIERS`. A verifier is a frozen dataclass, every field with
a default, and one method. Online it may end a stage (a pass); offline it labels samples. A field without which it
cannot judge has the metadata `REQUIRED`: configuration must give it, and without it the verifier judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

REQUIRED = {"required": True}


@dataclass(frozen=True, slots=True)
class Case:
    """What an answer is held against; what is not known is None or empty."""

    query: str
    gold: str | None = None
    references: Sequence[str] = ()  # answers of the reference backend to the same query
    task: str = ""  # what the caller calls this kind of query


@runtime_checkable
class Verifier(Protocol):
    """(query, answer) in; pass, fail or a score out."""

    answer_kind: ClassVar[str]  # how answers are extracted for it, see `router.answers`
    needs: ClassVar[str]  # "gold", "references" or "" (judges by the query alone: usable online)

    def grade(self, case: Case, answer: str | None) -> float | None:
        """A score in [0, 1]: 1 passes. 0 for an answer of None. None where the case lacks what is needed."""
        ...


VERIFIERS = {
    "exact": "router.verifiers.exact:Exact",
    "number": "router.verifiers.number:Number",
    "choice": "router.verifiers.choice:Choice",
    "contains": "router.verifiers.contains:Contains",
    "math": "router.verifiers.mathematics:Math",
    "agrees": "router.verifiers.agrees:Agrees",
    "judge": "router.verifiers.judge:Judge",
    "schema": "router.verifiers.schema:Schema",
    "regex": "router.verifiers.regex:Regex",
    "unit_tests": "router.verifiers.unit_tests:UnitTests",
    "http": "router.verifiers.http_hook:Http",
}
