"""Does the arithmetic that a text works through hold, and where do its numbers come from?

A step is a chain of numbers and operators before a `=` with what is said to come out of it, also in the notation
`<<3*60=180>>`. Words between the numbers (units) are passed over. A number is the query's, a result of an earlier
step, a common constant, or from nowhere; a result is used later, is the answer, or is left lying. When it fails:
arithmetic in words ("three times sixty is 180"), and algebra, of which only the last number of a line is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import pairwise
from math import log, log1p

NAMES = (
    "steps", "steps_noted", "wrong_steps", "share_wrong_steps", "first_wrong_step", "repeated_steps",
    "query_numbers", "query_number_words", "share_unused", "unsaid", "words_unsaid", "from_nowhere",
    "share_from_nowhere", "left_lying", "share_left_lying", "results_of_query", "additions", "subtractions",
    "products", "divisions", "fractional_results", "unrounded_results", "negative_results", "log_largest_result_ratio",
    "steps_per_query_number", "number_answer", "whole_answer", "negative_answer", "log_answer", "log_answer_ratio",
    "answer_is_last_result", "answer_is_a_result", "answer_in_query", "answer_said", "unasked_fraction",
)  # fmt: skip
_NUMBER = re.compile(r"[\d]\d*(?:,\d{3})*(?:\.\d+)?")  # a set in front, to which `re` skips: half of the time
_TOKEN = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?%?|[-+*/×÷·()]|(?<![A-Za-z])x(?![A-Za-z])|\\times")
_RESULT = re.compile(r"[\s$£€\\*(]*(-?\s?\$?\d+(?:,\d{3})*(?:\.\d+)?%?)")
_WORDS = {
    "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0,
    "ten": 10.0, "eleven": 11.0, "twelve": 12.0, "fifteen": 15.0,
    "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0,
    "hundred": 100.0, "half": 0.5, "twice": 2.0, "double": 2.0, "triple": 3.0, "third": 3.0, "quarter": 4.0,
    "dozen": 12.0,
}  # fmt: skip
_SPELLED = {word.encode(): value for word, value in _WORDS.items()}
_LETTERS = bytes(byte if byte in range(ord("a"), ord("z") + 1) else ord(" ") for byte in range(256))
_CONSTANTS = frozenset((1.0, 2.0, 3.0, 4.0, 7.0, 10.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 365.0, 1000.0))
_OPERATORS = {"×": "*", "·": "*", "x": "*", "\\times": "*", "÷": "/"}
_DIGITS = frozenset("0123456789")
_LEFT, _MOST_STEPS, _MOST_NUMBERS = 90, 24, 64  # characters before a `=`; steps; numbers of a text
_LARGEST = 1e15  # beyond, neighbouring whole numbers are one float
_QUERIES = 128  # whose numbers are kept for their further samples
_FAR = 6.0  # a ratio beyond e^6 says no more


def worked_numbers(text: str, query_text: str, answer: str) -> list[float]:
    """One number per name of `NAMES`, all finite. `text` and `query_text` are short: the caller cuts them."""
    asked, words = _asked(query_text)
    given, said = asked | words, {number(found) for found in set(_NUMBER.findall(text)[:_MOST_NUMBERS])}
    steps, noted = _steps(text)
    used: set[float] = set()
    results: list[float] = []
    further: set[float] = set()  # results that a later step works with
    wrong, first_wrong, nowhere, operands = 0, 1.0, 0, 0
    tallied = dict.fromkeys("+-*/", 0)
    chains: set[tuple[str, ...]] = set()
    for place, (chain, result) in enumerate(steps):
        value = evaluate(chain)
        if value is not None and not _comes_to(value, result):
            wrong += 1
            first_wrong = min(first_wrong, place / len(steps))
        chains.add(tuple(chain))
        for piece in chain:
            if piece[0] in _DIGITS:
                operands += 1
                nowhere += not _known(number(piece), given, results, used, further)
            elif piece in tallied:
                tallied[piece] += 1
        results.append(result)
    final = _final(answer)
    rest = {one for one in results if one not in further and not (final is not None and _near(one, final))}
    largest = max(asked, default=1.0) or 1.0
    count = max(1, len(steps))
    return [
        log1p(len(steps)),
        noted / count,
        float(wrong),
        wrong / count,
        first_wrong,
        float(len(steps) - len(chains)),
        float(len(asked)),
        float(len(words)),
        len(asked - used) / max(1, len(asked)),
        float(len(asked - said)),
        float(len(words - used - said)),
        float(nowhere),
        nowhere / max(1, operands),
        float(len(rest)),
        len(rest) / count,
        float(sum(one in asked for one in results)),
        *map(float, tallied.values()),
        float(sum(one % 1 != 0 for one in results)),
        float(sum(one * 1e4 % 1 != 0 for one in results)),
        float(sum(one < 0 for one in results)),
        _ratio(max(map(abs, results)), largest) if results else 0.0,
        len(steps) / max(1, len(asked)),
        *_about_answer(final, asked, said, results, largest),
    ]


@lru_cache(maxsize=_QUERIES)
def _asked(query_text: str) -> tuple[frozenset[float], frozenset[float]]:
    """A query's numbers in digits and in words; all of its samples are held against them."""
    asked = {number(found) for found in _NUMBER.findall(query_text)[:_MOST_NUMBERS]}
    said = query_text.lower().encode("utf-8", "surrogatepass").translate(_LETTERS).split()
    return frozenset(asked), frozenset([_SPELLED[word] for word in _SPELLED.keys() & set(said)])


def _about_answer(
    final: float | None, asked: AbstractSet[float], said: set[float], results: list[float], largest: float
) -> list[float]:
    if final is None:
        return [0.0] * 10
    whole = final % 1 == 0
    return [
        1.0,
        float(whole),
        float(final < 0),
        log1p(abs(final)),
        _ratio(abs(final), largest),
        float(bool(results) and _near(results[-1], final)),
        float(any(_near(one, final) for one in results)),
        float(final in asked),
        float(abs(final) in said),
        float(not whole and all(one % 1 == 0 for one in asked)),
    ]


def _steps(text: str) -> tuple[list[tuple[list[str], float]], int]:
    """The chains before each `=` with the number after it, and how many stand in `<< >>`."""
    found: list[tuple[list[str], float]] = []
    noted = 0
    pieces = text.split("=")
    for left, right in pairwise(pieces):
        if len(found) == _MOST_STEPS:
            break
        stated = _RESULT.match(right[:_LEFT])  # none: an annotation `<<` comes, which says the same again
        if stated is None:
            continue
        tail = left[-_LEFT:]
        note = tail.rfind("<<")
        tail = tail[note + 2 :] if note >= 0 else tail[tail.rfind("\n") + 1 :]
        chain = _chain(_TOKEN.findall(tail))
        if chain:
            noted += note >= 0
            found.append((chain, number(stated[1])))
    return found, noted


def _chain(tokens: list[str]) -> list[str]:
    """The longest end of `tokens` in which numbers and operators alternate; empty without an operator."""
    taken: list[str] = []
    number_next, depth = True, 0  # walking to the left
    for written in reversed(tokens):
        piece = _OPERATORS.get(written, written)
        if piece == ")" and number_next:
            depth += 1
        elif piece == "(" and not number_next and depth:
            depth -= 1
        elif (piece[0] in _DIGITS) == number_next and piece not in "()":
            number_next = not number_next
        else:
            break
        taken.append(piece)
    taken.reverse()
    while taken and not (taken[0][0] in _DIGITS or taken[0] == "("):
        taken.pop(0)
    return taken if any(piece in "+-*/" for piece in taken) else []


def evaluate(pieces: Sequence[str]) -> float | None:
    """The value of numbers, + - * / and brackets, products first; None where it is no such expression."""
    rest = list(reversed(pieces))
    try:
        value = _sum(rest)
    except (ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None
    return value if not rest and abs(value) < _LARGEST else None


def _sum(rest: list[str]) -> float:
    """Reads an expression off the end of `rest`."""
    value, sign = 0.0, 1.0
    while True:
        product = _atom(rest)
        while rest and rest[-1] in "*/":
            if rest.pop() == "*":
                product *= _atom(rest)
            else:
                product /= _atom(rest)
        value += sign * product
        if not rest or rest[-1] not in "+-":
            return value
        sign = 1.0 if rest.pop() == "+" else -1.0


def _atom(rest: list[str]) -> float:
    piece = rest.pop()
    if piece == "(":
        value = _sum(rest)
        if rest and rest[-1] == ")":
            rest.pop()
        return value
    if piece[0] not in _DIGITS:
        raise ValueError(piece)
    return number(piece) / 100.0 if piece[-1] == "%" else number(piece)


def number(spelled: str) -> float:
    """Of digits with commas, a point, a sign, a currency or `%`; cut at 1e15."""
    try:
        value = float(spelled)
    except ValueError:
        try:
            value = float(spelled.replace(",", "").replace("$", "").replace(" ", "").rstrip("%."))
        except ValueError:  # 1.2.3 is no number
            return 0.0
    return value if -_LARGEST < value < _LARGEST else (_LARGEST if value > 0 else -_LARGEST)


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 0.006 * max(1.0, abs(other))  # results are often rounded


def _comes_to(value: float, stated: float) -> bool:
    """Equal up to rounding, and up to whether it was said in percent."""
    return _near(value, stated) or _near(100 * value, stated) or _near(value / 100, stated)


def _known(
    operand: float, given: AbstractSet[float], results: list[float], used: set[float], further: set[float]
) -> bool:
    """Whether it is clear where the operand comes from; what it uses up is noted in `used` and `further`."""
    within = 0.006 * max(1.0, abs(operand))
    matching = [one for one in results if -within <= one - operand <= within]
    further.update(matching)
    if operand in given:
        used.add(operand)
        return True
    # 25 % is worked with as .25 or as 25 / 100; 25 % off as 75 or .75
    for alike in (operand / 100, operand * 100, 100 - operand, round(100 - 100 * operand, 6)):
        if alike in given:
            used.add(alike)
            return True
    return bool(matching) or operand in _CONSTANTS


def _final(answer: str) -> float | None:
    found = _NUMBER.search(answer)
    if found is None:
        return None
    value = number(found.group())
    return -value if answer[: found.start()].rstrip(" $").endswith("-") else value


def _ratio(one: float, other: float) -> float:
    return max(-_FAR, min(_FAR, log((one + 0.01) / (other + 0.01))))
