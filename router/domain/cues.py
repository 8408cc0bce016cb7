"""Words at which a growing sample is worth a look: cue points.

A cue is a piece of text, whatever its case, not a word with borders: `thus` is heard in `enthusiasm`, and a language
without spaces has cues as well. Stated ignorance: when a sample may be looked at at all (`router.domain.growth`).
"""

from __future__ import annotations

from collections.abc import Sequence

CONCLUSIONS = ("answer", "therefore", "thus", "hence", "so,", "result", "finally", "boxed")
"""What English prose says where it draws a conclusion. Fails in other languages, for code, and for traces that name
their results without a word (`= 12`): nothing is heard there, so that nothing is stopped."""


def said_since(text: str, since: int, cues: Sequence[str]) -> bool:
    """Whether one of the cues ends behind the first `since` characters; it may have begun before.

    >>> said_since("So the ANSWER", 9, ("answer",)), said_since("So the answer is", 13, ("answer",))
    (True, False)
    """
    wanted = [cue.casefold() for cue in cues]
    begin = max(0, since - max(map(len, wanted), default=1) + 1)
    said = text[begin:].casefold()
    return any(said.find(cue, max(0, since - len(cue) + 1 - begin)) >= 0 for cue in wanted)
