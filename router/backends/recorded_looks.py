"""Which snapshots of a recorded trace a call sees, and the trace as it would have answered at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from predictors.observation import Sample
from router.backends import Call
from router.domain.cues import said_since
from router.domain.growth import Growth


def asks(call: Call) -> bool:
    """Whether looks come with their answers; without a `growth` the recording is shown as it is."""
    return call.growth is None or call.growth.answers


def due_looks(
    snapshots: Sequence[Sample], texts: Sequence[str | None], growth: Growth | None
) -> tuple[Sample, ...]:
    """Those of the recorded snapshots, in order, that are due; `texts`: what each has written, None: not recorded.

    Where a text was not recorded no cue is heard: a rule with cues never looks at a recording without texts.
    """
    if growth is None:
        return tuple(snapshots)
    kept: list[Sample] = []
    last: int | None = None
    heard_to = 0  # characters
    for snapshot, text in zip(snapshots, texts, strict=True):
        if not growth.due(snapshot.tokens_out, last):
            continue
        last = snapshot.tokens_out
        said = text or ""
        if not growth.cues or said_since(said, heard_to, growth.cues):
            kept.append(snapshot)
        heard_to = max(heard_to, len(said))
    return tuple(kept)


def as_seen(snapshot: Sample, call: Call) -> Sample:
    """A snapshot with its tentative answer where that was asked for."""
    return snapshot if asks(call) else replace(snapshot, answer=None, confidence=None)


def closed(snapshot: Sample, latency_s: float) -> Sample:
    """The trace ended at a snapshot: what it would have answered there is its answer."""
    return replace(snapshot, finished=True, finish_reason="closed", latency_s=latency_s)
