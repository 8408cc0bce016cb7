"""The states of bundles: candidate -> shadow -> canary -> active -> retired, and every step that was taken.

One document; whoever changes it counts its number up, and of two that differ the higher number holds. At most one
bundle each is active, canary and shadow.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from router.errors import InvalidQuery

KEPT_STEPS = 1000  # of the history; older ones are forgotten
CANARY_SHARE = 0.05  # of draw keys, where nobody says


class BundleState(Enum):
    """What a bundle is used for."""

    CANDIDATE = "candidate"  # nothing
    SHADOW = "shadow"  # every replica has loaded, checked and warmed it; it decides nothing
    CANARY = "canary"  # decides for a share of traffic
    ACTIVE = "active"  # decides for the rest
    RETIRED = "retired"  # was something, and is nothing any more


NEXT = {
    BundleState.CANDIDATE: BundleState.SHADOW,
    BundleState.SHADOW: BundleState.CANARY,
    BundleState.CANARY: BundleState.ACTIVE,
    BundleState.ACTIVE: BundleState.ACTIVE,
    BundleState.RETIRED: BundleState.SHADOW,
}
IN_USE = (BundleState.SHADOW, BundleState.CANARY, BundleState.ACTIVE)


class Step(msgspec.Struct, frozen=True):
    """One change."""

    version: str
    state: BundleState
    at: float  # seconds since the epoch
    share: float = 0.0
    note: str = ""


class Releases(msgspec.Struct, frozen=True):
    """The document."""

    number: int = 0
    active: str = ""  # version; "": what the configuration names
    canary: str = ""
    canary_share: float = 0.0
    shadow: str = ""
    before: tuple[str, ...] = ()  # versions that were active, the last one last
    steps: tuple[Step, ...] = ()  # oldest first

    def state(self, version: str) -> BundleState:
        """Of a version; one that was never promoted is a candidate."""
        for place, state in (
            (self.active, BundleState.ACTIVE),
            (self.canary, BundleState.CANARY),
            (self.shadow, BundleState.SHADOW),
        ):
            if version and version == place:
                return state
        known = any(step.version == version for step in self.steps)
        return BundleState.RETIRED if known else BundleState.CANDIDATE

    def latest(self, version: str) -> Step | None:
        """The last step of a version."""
        return next((step for step in reversed(self.steps) if step.version == version), None)

    def share(self, version: str) -> float:
        """Of traffic that it decides for, [0, 1]."""
        if version == self.active:
            return 1.0 - self.canary_share
        return self.canary_share if version == self.canary else 0.0

    def promoted(
        self,
        version: str,
        to: BundleState | None = None,
        share: float | None = None,
        *,
        at: float,
        note: str = "",
    ) -> Releases:
        """The document with `version` in the state `to` (default: its next). Raises `InvalidQuery`."""
        target = to or NEXT[self.state(version)]
        if target not in IN_USE:
            raise InvalidQuery(
                "to", f"a bundle is not promoted to {target.value}", "shadow, canary or active"
            )
        if share is not None and (target is not BundleState.CANARY or not 0 < share <= 1):
            raise InvalidQuery("share", f"got {share:g} for {target.value}", "in (0, 1], for a canary")
        if version == self.active and target is not BundleState.ACTIVE:
            raise InvalidQuery("to", f"{version} is active; promote or roll back to another bundle first")
        if version == self.active:
            return self
        part = (share or CANARY_SHARE) if target is BundleState.CANARY else 0.0
        found = self.without(version, target, at)
        places: dict[BundleState, dict[str, Any]] = {
            BundleState.SHADOW: {"shadow": version},
            BundleState.CANARY: {"canary": version, "canary_share": part},
            BundleState.ACTIVE: {
                "active": version,
                "before": (*[old for old in self.before if old not in (version, self.active)], self.active),
            },
        }
        return found.changed(Step(version, target, at, part, note), **places[target])

    def rolled_back(self, to_version: str = "", *, at: float) -> Releases:
        """Without what is being tried; where nothing is and no version is named, the last that was active before.

        Raises `InvalidQuery` where there is none.
        """
        found = self
        trying = [version for version in (self.canary, self.shadow) if version]
        for version in trying:
            found = found.without(version, None, at).changed(
                Step(version, BundleState.RETIRED, at, 0.0, "rolled back")
            )
        if not to_version and (trying or not self.before):
            if not trying:
                raise InvalidQuery(
                    "to_version",
                    "nothing is tried, and no bundle was active before: there is nothing to roll back",
                )
            return found
        target = to_version or self.before[-1]
        if to_version == self.active:
            return found
        left = Step(self.active, BundleState.RETIRED, at, 0.0, "rolled back")
        before = tuple(old for old in self.before if old not in (target, self.active))
        return found.changed(left, active=target, before=before).changed(
            Step(target, BundleState.ACTIVE, at, 0.0, "rolled back to")
        )

    def retired(self, version: str, *, at: float, note: str = "") -> Releases:
        """Without a version that is shadow or canary; no change for any other."""
        if version not in (self.canary, self.shadow) or not version:
            return self
        step = Step(version, BundleState.RETIRED, at, 0.0, note)
        return self.without(version, None, at).changed(step)

    def without(self, version: str, target: BundleState | None, at: float) -> Releases:
        """`version` in no place, and who stands where it will go sent away."""
        found = self
        if target is BundleState.ACTIVE and self.active:
            found = found.changed(
                Step(self.active, BundleState.RETIRED, at, 0.0, f"{version} took its place")
            )
        if self.canary and (version == self.canary or target is BundleState.CANARY):
            if version != self.canary:
                gone = Step(self.canary, BundleState.RETIRED, at, 0.0, f"{version} took its place")
                found = found.changed(gone)
            found = msgspec.structs.replace(found, canary="", canary_share=0.0)
        if self.shadow and (version == self.shadow or target is BundleState.SHADOW):
            if version != self.shadow:
                gone = Step(self.shadow, BundleState.RETIRED, at, 0.0, f"{version} took its place")
                found = found.changed(gone)
            found = msgspec.structs.replace(found, shadow="")
        return found

    def changed(self, step: Step, **fields: Any) -> Releases:
        """One step further."""
        steps = (*self.steps, step)[-KEPT_STEPS:]
        return msgspec.structs.replace(self, number=self.number + 1, steps=steps, **fields)
