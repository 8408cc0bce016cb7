"""A prompt template put around a conversation.

The system text goes first, merged into a system message that is already there; `before` and `after` go around the
text of the last user turn. Images, tool results and earlier turns stay as they are. A conversation without a user
turn keeps its text: there is nothing to put the template around.
"""

from __future__ import annotations

from dataclasses import replace

from predictors.observation import Message, Part, PartKind
from router.domain.plan import Prompt


def with_prompt(messages: tuple[Message, ...], prompt: Prompt) -> tuple[Message, ...]:
    """The conversation as the backend should see it; the same object where the template is empty."""
    if prompt.before or prompt.after:
        messages = _around_last_user_turn(messages, prompt.before, prompt.after)
    if prompt.system:
        messages = _system_first(messages, prompt.system)
    return messages


def _around_last_user_turn(messages: tuple[Message, ...], before: str, after: str) -> tuple[Message, ...]:
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].role == "user":
            parts = _around_text(messages[place].parts, before, after)
            return (*messages[:place], replace(messages[place], parts=parts), *messages[place + 1 :])
    return messages


def _around_text(parts: tuple[Part, ...], before: str, after: str) -> tuple[Part, ...]:
    texts = [place for place, part in enumerate(parts) if part.kind is PartKind.TEXT]
    if not texts:
        return (
            (Part(text=before), *parts, Part(text=after))
            if before and after
            else (*parts, Part(text=before or after))
        )
    changed = list(parts)
    changed[texts[0]] = replace(changed[texts[0]], text=before + changed[texts[0]].text)
    changed[texts[-1]] = replace(changed[texts[-1]], text=changed[texts[-1]].text + after)
    return tuple(changed)


def _system_first(messages: tuple[Message, ...], system: str) -> tuple[Message, ...]:
    if messages and messages[0].role in {"system", "developer"}:
        merged = replace(messages[0], parts=(Part(text=system + "\n\n"), *messages[0].parts))
        if all(part.kind is PartKind.TEXT for part in messages[0].parts):
            merged = replace(merged, parts=(Part(text=merged.text),))
        return (merged, *messages[1:])
    return (Message("system", (Part(text=system),)), *messages)
