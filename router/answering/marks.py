"""Where a text says that its answer is: boxes, tags, `####`, "the answer is", lettered choices, fenced code."""

from __future__ import annotations

import re
from collections import deque

# characters that are searched for marks; an answer stands at the beginning or at the end
HEAD, TAIL = 2000, 4000
BOX = 2000  # characters that a box may hold

_SAID = re.compile(
    r"\b(?:answer|solution|result)\b[*_\"']{0,3}(?:\s{1,3}(?:is|was|would\ be|should\ be|equals)\b|\s{0,3}[:=])"
    r"[\s:=*_]{0,6}(?P<answer>[^\n]{1,300})",
    re.IGNORECASE | re.VERBOSE,
)
_SENTENCE_END = re.compile(r"(?<=[^\s.])[.;!?](?=\s|$)")
_CLOSING_FENCE = "```"
_LETTER = re.compile(r"\s*[*_]{0,2}[(\[]?\s*([A-Ja-j])\s*[)\]]?[*_]{0,2}\s*[.:]?\s*")
_SAID_LETTER = re.compile(
    r"\s*(?:the\s)?(?:option\s|choice\s)?[*_]{0,2}(?:"
    r"[(\[]([A-Ja-j])[)\]]"
    r"|([B-HJ])(?![\w'’])"
    r"|([AI])(?=[*_]{0,2}(?:[).,:;\]]|\s*$|\s+(?:because|since|as|is|which|and)\b|\s*\n))"
    r")"
)
_LEADING_LETTER = re.compile(r"\s*[*_]{0,2}(?:[(\[]([A-Ja-j])[)\]]|([A-J])(?:[).:]|\s*\n))")
_OPTION = re.compile(r"\b(?:option|choice)\s{1,3}[(\[]?([A-J])\b", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([A-J])\)")


def window(text: str) -> str:
    """What is searched of a text: all of it, or its head and tail."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last of the matches that follow each other in a text, or None."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def after_thinking(text: str) -> str | None:
    """The text behind the last `</think>`; None where it ends while still thinking."""
    end = text.rfind("</think>")
    if end >= 0:
        return text[end + len("</think>") :]
    return None if "<think>" in text else text


def marked(text: str, *, only_tags: bool = False) -> str | None:
    """What the text itself marks as its answer: `<answer>` tags, else a box, else `####`, else "answer is".

    None where nothing is marked. The last mark counts, except that a mark near the end beats one in the head.
    """
    tagged = _between(text, "<answer>", "</answer>")
    if tagged is not None or only_tags:
        return tagged
    for found in (_boxed(text), _after_hashes(text)):
        if found:
            return found
    seen = window(text)
    lowered = seen.lower()
    said = any(word in lowered for word in ("answer", "solution", "result"))  # spares most texts the search
    last = last_match(_SAID, seen) if said else None
    if last is None:
        return None
    answer = last.group("answer").strip()
    end = _SENTENCE_END.search(answer)
    return (answer[: end.start()] if end else answer).strip(" *_") or None


def is_choice(text: str) -> bool:
    """Whether a text is a letter and nothing else: `B`, `(b)`, `**C**.`"""
    return len(text) <= 12 and _LETTER.fullmatch(text) is not None


def pick_choice(text: str, *, said: bool = False) -> str | None:
    """The letter A to J that a text chooses, or None; `said`: the text stands behind "the answer is"."""
    if is_choice(text):
        found = _LETTER.fullmatch(text)
        return found.group(1).upper() if found else None
    if said:
        return _letter(_SAID_LETTER.match(text))
    leading = _letter(_LEADING_LETTER.match(text))
    if leading is not None:
        return leading
    lines = text.rstrip().rpartition("\n")
    if lines[1] and is_choice(lines[2]):
        return pick_choice(lines[2])
    for pattern in (_OPTION, _BRACKETED):
        letters = pattern.findall(text)
        if letters:
            return str(letters[-1]).upper()
    return None


def fenced_block(text: str) -> str | None:
    """The content of the last fenced block, without its language; None where there is none. Linear."""
    end = text.rfind(_CLOSING_FENCE)
    if end < 0:
        return None
    start = text.rfind(_CLOSING_FENCE, 0, end)
    if start < 0:  # opened and never closed: cut by a length limit
        start, end = end, len(text)
    line_end = text.find("\n", start, end)
    return None if line_end < 0 else text[line_end + 1 : end]


def _letter(found: re.Match[str] | None) -> str | None:
    if found is None:
        return None
    return next((group.upper() for group in found.groups() if group), None)


def _between(text: str, opening: str, closing: str) -> str | None:
    start = text.rfind(opening)
    if start < 0:
        return None
    end = text.find(closing, start)
    return text[start + len(opening) : end if end >= 0 else len(text)].strip() or None


def _boxed(text: str) -> str | None:
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    start = text.index("{", start) + 1
    depth = 1
    for at in range(start, min(len(text), start + BOX)):
        character = text[at]
        if character == "{" and text[at - 1] != "\\":
            depth += 1
        elif character == "}" and text[at - 1] != "\\":
            depth -= 1
            if depth == 0:
                return text[start:at].strip() or None
    return None


def _after_hashes(text: str) -> str | None:
    start = text.rfind("#### ")
    if start < 0 or (start > 0 and text[start - 1] == "#"):
        return None
    return text[start + 5 : start + 305].partition("\n")[0].strip() or None
