"""From a model's text to its answer, and from an answer to the string that equal answers share.

`extract` finds the answer of a finished text, `canonical` names its class: two answers with the same canonical
string are the same answer. Both are linear in the text, look at its first 2,000 and last 4,000 characters only
where they search, and never run a pattern that can backtrack over more than a line. To add a kind, give it a line
in `ANSWER_KINDS`.

When it fails: an answer in the middle of a very long text, an answer in words where a number is expected, and
`auto` on prose that ends in a number which is not the answer. State the kind where it is known.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from router.answering.code_forms import canonical_code
from router.answering.date_forms import canonical_date, last_date
from router.answering.marks import (
    after_thinking,
    fenced_block,
    is_choice,
    last_match,
    marked,
    pick_choice,
    window,
)
from router.answering.number_forms import (
    canonical_number,
    count_numbers,
    first_number,
    last_number,
    parse_number,
)
from router.errors import UnknownName

LONG = 200  # characters; a longer canonical string is replaced by its digest
SHORT = 200  # characters; a longer text without a mark has no answer of kind `auto`
FORMULA = 1000  # characters; what is longer is compared as it stands
JSON_STARTS = 20  # openings that are tried in a text around JSON

_SPACE = re.compile(r"\s+")
_WORDS_ONLY = re.compile(r"[\w\s,.;:!?'’-]*")
_EDGES = " \t\n\r.,;:!?\"'`*_’“”"
_LATEX_NOISE = re.compile(r"\\(?:left|right|displaystyle|mathrm|text|mathbf|[,;:! ])|[$\s]|\\[()\[\]]")
# as Pandoc reads it: "$5 and $6" are prices, "$x$" is mathematics
_INLINE_MATH = re.compile(
    r"(?<![\\$])\$(?=[^\s$])((?:[^$\n\\]|\\.){1,200})(?<=\S)\$(?!\d)|\\\(([^\n]{1,200}?)\\\)"
)
_PROSE_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """How answers of one kind are found and compared."""

    extract: Callable[[str], str | None]
    canonical: Callable[[str], str]


def extract(text: str, kind: str) -> str | None:
    """The answer in a finished text; None where there is none. Raises `UnknownName` for a kind that is not one.

    Thinking between `<think>` tags is left out; a text that ends while still thinking has no answer.
    """
    body = after_thinking(text)
    if body is None or not body.strip():
        return None
    return _kind(kind).extract(body)


def canonical(answer: str, kind: str) -> str:
    """The string that all answers of one class share; never fails on an answer that is not of the kind."""
    return _kind(kind).canonical(answer)


def _kind(name: str) -> AnswerKind:
    try:
        return ANSWER_KINDS[name]
    except KeyError:
        raise UnknownName("answer kind", name, tuple(ANSWER_KINDS)) from None


def _extract_number(text: str) -> str | None:
    said = marked(text)
    if said is not None:
        after_equals = said.rpartition("=")[2]
        found = first_number(after_equals) or first_number(said)
        if found is not None:
            return found
    return last_number(window(text))


def _canonical_number(answer: str) -> str:
    number = canonical_number(answer)
    return _canonical_text(answer) if number is None else number


def _extract_choice(text: str) -> str | None:
    said = marked(text)
    return (pick_choice(said, said=True) if said is not None else None) or pick_choice(window(text))


def _canonical_choice(answer: str) -> str:
    return pick_choice(answer, said=True) or _canonical_text(answer)


def _extract_whole(text: str) -> str | None:
    said = marked(text, only_tags=True)
    return (text if said is None else said).strip() or None


def _extract_prose(text: str) -> str | None:
    return marked(text) or text.strip() or None


def _canonical_exact(answer: str) -> str:
    return _bounded(_SPACE.sub(" ", answer).strip())


def _canonical_text(answer: str) -> str:
    return _bounded(_SPACE.sub(" ", answer).strip(_EDGES).casefold())


def _extract_math(text: str) -> str | None:
    said = marked(text)
    if said is not None:
        return _last_formula(said) or said.strip(" .") or None
    if len(text) <= SHORT and not _PROSE_WORD.search(
        text.replace("frac", "").replace("sqrt", "").replace("pi", "")
    ):
        return text.strip().strip("$").strip() or None
    seen = window(text).rstrip()
    last_line = seen.rpartition("\n")[2]
    return _last_formula(last_line) or last_number(last_line) or _last_formula(seen) or last_number(seen)


def _last_formula(text: str) -> str | None:
    last = last_match(_INLINE_MATH, text)
    return None if last is None else (last.group(1) or last.group(2)).strip() or None


def _canonical_math(answer: str) -> str:
    number = canonical_number(answer.strip().strip("$"))
    if number is not None:
        return number
    if len(answer) > FORMULA:
        return _canonical_exact(answer)
    plain = _LATEX_NOISE.sub("", answer).replace("dfrac", "frac").replace("tfrac", "frac")
    return _bounded(plain.strip(_EDGES).replace("^{\\circ}", "").replace("^\\circ", ""))


def _extract_code(text: str) -> str | None:
    block = fenced_block(text)
    return (text if block is None else block).strip("\r\n").rstrip() or None


def _canonical_code(answer: str) -> str:
    return _bounded(canonical_code(answer))


def _extract_date(text: str) -> str | None:
    said = marked(text)
    found = last_date(said) if said is not None else None
    return found or last_date(window(text))


def _canonical_date(answer: str) -> str:
    return canonical_date(answer) or _canonical_text(answer)


def _extract_json(text: str) -> str | None:
    block = fenced_block(text)
    for source in (text,) if block is None else (block, text):
        found = _first_json(source.strip())
        if found is not None:
            return found
    return None


def _first_json(text: str) -> str | None:
    decoder = json.JSONDecoder()
    start = -1
    for _ in range(JSON_STARTS):
        starts = [at for at in (text.find("{", start + 1), text.find("[", start + 1)) if at >= 0]
        if not starts:
            return None
        start = min(starts)
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):  # not JSON here, or nested too deep to be meant
            continue
        return text[start:end]
    return None


def _canonical_json(answer: str) -> str:
    try:
        value = json.loads(answer, parse_float=_plain_float)
        return _bounded(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    except (ValueError, RecursionError):
        return _canonical_exact(answer)


def _plain_float(text: str) -> Any:
    value = float(text)
    return int(value) if abs(value) < 2**53 and value.is_integer() else value


def _extract_auto(text: str) -> str | None:
    said = marked(text)
    if said is not None:
        return said if is_choice(said) else (_leading_number(said) or pick_choice(said, said=True) or said)
    whole = text.strip()
    if len(whole) <= SHORT:
        choice = pick_choice(whole)
        if choice is not None:
            return choice
        if parse_number(whole) is not None:
            return whole
    seen = window(whole)
    if _reads_like_mathematics(seen):
        number = last_number(seen)
        if number is not None:
            return number
    return whole if len(whole) <= SHORT else None


def _leading_number(said: str) -> str | None:
    """The number of "42 apples", or of "6 * 7 = 42"; None where the answer is more than a number."""
    tail = said.rpartition("=")[2].strip()
    return first_number(tail) if parse_number(tail) is not None else None


def _reads_like_mathematics(text: str) -> bool:
    """Prose (≥ 4 words) with an equation, or with several numbers of which one is in its last line."""
    if text[:1] in "[{('\"" or sum(1 for _ in zip(range(4), _PROSE_WORD.finditer(text), strict=False)) < 4:
        return False
    if not count_numbers(text.rstrip().rpartition("\n")[2], 1):
        return False
    return "=" in text or count_numbers(text, 2) >= 2


def _canonical_auto(answer: str) -> str:
    if is_choice(answer):
        return _canonical_choice(answer)
    number = canonical_number(answer)
    if number is not None:
        return number
    if "\\" in answer:
        return _canonical_math(answer)
    if _WORDS_ONLY.fullmatch(answer):
        quoted = len(answer) > 2 and answer[0] == answer[-1] == "'"
        return _canonical_exact(answer) if quoted else _canonical_text(answer)
    plain = _canonical_exact(answer)
    inner = plain[1:-1]
    if len(plain) >= 2 and plain[0] == plain[-1] == '"' and not set(inner) & set("'\"\\"):
        return f"'{inner}'"  # "abba" and 'abba' are one literal
    return plain


def _bounded(text: str) -> str:
    if len(text) <= LONG:
        return text
    return "#" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


ANSWER_KINDS: Mapping[str, AnswerKind] = {
    "auto": AnswerKind(_extract_auto, _canonical_auto),
    "number": AnswerKind(_extract_number, _canonical_number),
    "choice": AnswerKind(_extract_choice, _canonical_choice),
    "exact": AnswerKind(_extract_whole, _canonical_exact),
    "math": AnswerKind(_extract_math, _canonical_math),
    "code": AnswerKind(_extract_code, _canonical_code),
    "date": AnswerKind(_extract_date, _canonical_date),
    "json": AnswerKind(_extract_json, _canonical_json),
    "text": AnswerKind(_extract_whole, _canonical_text),
    "prose": AnswerKind(_extract_prose, _canonical_text),  # and by meaning, see `router.answering.same_text`
}
