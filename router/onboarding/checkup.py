"""What a check found: a status, what it is about, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """What a finding means for serving."""

    OK = "ok"
    NOTE = "note"  # worth knowing: something is missing, and what it costs
    PROBLEM = "problem"  # the configuration says something that is not so


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up."""

    health: Health
    about: str  # backends.small, store, server.listen, …
    text: str


def ok(about: str, text: str) -> Finding:
    """It is as the configuration says."""
    return Finding(Health.OK, about, text)


def note(about: str, text: str) -> Finding:
    """It serves, and something could be had."""
    return Finding(Health.NOTE, about, text)


def problem(about: str, text: str) -> Finding:
    """It must be changed."""
    return Finding(Health.PROBLEM, about, text)


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether there is no problem among them."""
    return all(finding.health is not Health.PROBLEM for finding in findings)
