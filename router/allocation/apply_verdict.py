"""What a verdict does to the samples of a stage: some are dropped, some that grow are to end with an answer."""

from __future__ import annotations

from predictors.observation import Sample
from router.allocation.progress import Progress
from router.backends import Call
from router.domain.verdict import Action, Verdict


def to_close(verdict: Verdict, sample: Sample, progress: Progress, *, last: bool) -> set[str]:
    """The growing samples that are to end with an answer because of this verdict.

    With ENOUGH those that it names, else the latest if it grows. Giving the last stage up ends the plan as well, so
    that a trace that grows is closed there if nothing has finished.
    """
    if progress.options.advised:  # the caller's own samples: the verdict itself tells them to end
        return set()
    if verdict.action is Action.ENOUGH and verdict.close:
        return {
            name for name in verdict.close if name in progress.samples and not progress.samples[name].finished
        }
    if sample.sample_id in verdict.prune:
        return set()
    ends = verdict.action is Action.ENOUGH or (
        verdict.action is Action.ESCALATE and last and not progress.finished()
    )
    return {sample.sample_id} if ends and not sample.finished else set()


def apply_verdict(verdict: Verdict, reason: str, progress: Progress, call: Call) -> None:
    """Write a verdict down; pruned samples neither vote nor answer, and their backend may cut them."""
    call.pruned.update(verdict.prune)
    for sample_id in verdict.prune:
        progress.samples.pop(sample_id, None)
    if verdict.action is not Action.MORE:
        progress.stop_reason = f"{verdict.action.value}: {reason}"


def close(names: set[str], call: Call, progress: Progress) -> bool:
    """Ask the backend to end these growing samples and to let go of the others; return whether there are any."""
    if not names:
        return False
    call.closing.update(names)
    call.pruned.update(
        name for name, sample in progress.samples.items() if not sample.finished and name not in names
    )
    return True
