r"""Numbers as people and models write them, read exactly: `$1,234.50`, `3/4`, `50%`, `\frac{1}{2}`, `1.5e3`, `2.`.

A percent sign, a currency and a unit are left out ("50%" is the number 50): graders of word problems expect the
number that was asked for, not its scale. When it fails: a decimal comma ("3,5") is read as a thousands separator
only where three digits follow, and is no number otherwise; words ("twelve") are none.
"""

from __future__ import annotations

import re
from collections import deque
from fractions import Fraction

DIGITS = 40  # longer numbers are text: reading "1e999999999" exactly would fill the memory
EXPONENT = 60
NEAR = 300  # characters of a text's end where its last number mostly is
LONGEST = 200  # characters of a text that can be one number with its unit

_SPACE = re.compile(r"\s+")
_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_SIGN = r"[-−–+]?"
_LATEX_FRACTION = re.compile(
    rf"({_SIGN})\s{{0,3}}\\[dt]?frac\s{{0,3}}(?:\{{\s{{0,3}}({_SIGN}\d{{1,40}})\s{{0,3}}\}}|(\d))"
    r"\s{0,3}(?:\{\s{0,3}(\d{1,40})\s{0,3}\}|(\d))"
)
_NUMBER = re.compile(
    rf"(?<![\w.])({_SIGN})[$€£¥]?({_SIGN})[$€£¥]?({_PLAIN})"
    r"(?:[eE]([-+]?\d{1,9})(?![\w.]*\d))?(?:\s?/\s?(\d+(?:\.\d+)?)(?![\d/]))?"
)
_DECORATION = re.compile(r"\\(?:left|right|text|mathrm|mathbf|displaystyle|[,;:! ])|[{}*_`]|\\?\$(?=\s*$)")
_UNIT = re.compile(
    r"\s{0,3}(?:\\?%|°|\\?\$|[€£¥])?(?:\s{1,3}[A-Za-z°²³%][A-Za-z²³/%-]{0,20}){0,3}\s{0,3}[.!]?\s*"
)


def parse_number(text: str) -> Fraction | None:
    """The exact value of a text that is one number (a currency, a percent sign, a unit of up to 3 words allowed)."""
    found = _match_at(_tidy(text), 0)
    if found is None:
        return None
    value, start, end, tidy = found
    whole = not tidy[:start].strip() and _UNIT.fullmatch(tidy, end) is not None
    return value if whole else None


def first_number(text: str) -> str | None:
    """The first number in a text, as it is written, or None."""
    tidy = _tidy(text)
    found = _match_at(tidy, 0)
    return None if found is None else tidy[found[1] : found[2]].strip()


def last_number(text: str) -> str | None:
    """The last number in a text, as it is written, or None. Linear in the text."""
    if len(text) > NEAR:
        near = text[-NEAR:]
        space = _SPACE.search(near)  # the number at the cut may have lost its beginning
        found = None if space is None else last_number(near[space.end() :])
        if found is not None:
            return found
    last = next(iter(deque(_NUMBER.finditer(_tidy(text)), maxlen=1)), None)
    if last is None or _value(last) is None:
        return None
    return last.group().strip()


def count_numbers(text: str, enough: int) -> int:
    """How many numbers a text holds, counted up to `enough`."""
    count = 0
    for _ in _NUMBER.finditer(text):
        count += 1
        if count >= enough:
            break
    return count


def canonical_number(text: str) -> str | None:
    """The same string for equal numbers: `42`, `-3/4`; None where the text is not one number."""
    if text.isascii() and text.isdigit() and len(text) <= DIGITS:
        return text.lstrip("0") or "0"
    value = parse_number(text) if len(text) <= LONGEST else None
    return None if value is None else str(value)


def _tidy(text: str) -> str:
    if "\\" in text or "{" in text or "*" in text:
        text = _LATEX_FRACTION.sub(_plain_fraction, text)
        text = (
            text.replace("\\$", "$")
            .replace("\\%", "%")
            .replace("\\(", " ")
            .replace("\\)", " ")
            .replace("{,}", ",")
        )
        text = _DECORATION.sub(" ", text).replace("$ ", "$") if "\\" in text else _DECORATION.sub(" ", text)
    return text


def _plain_fraction(found: re.Match[str]) -> str:
    sign, above, above_digit, below, below_digit = found.groups()
    return f"{sign}{above or above_digit}/{below or below_digit}"


def _match_at(text: str, start: int) -> tuple[Fraction, int, int, str] | None:
    found = _NUMBER.search(text, start)
    if found is None:
        return None
    value = _value(found)
    return None if value is None else (value, found.start(), found.end(), text)


def _value(found: re.Match[str]) -> Fraction | None:
    sign, inner_sign, digits, exponent, below = found.groups()
    plain = digits.replace(",", "")
    if len(plain) > DIGITS or (below and len(below) > DIGITS) or (exponent and abs(int(exponent)) > EXPONENT):
        return None
    value = Fraction(plain)
    if exponent:
        value *= Fraction(10) ** int(exponent)
    if below:
        under = Fraction(below)
        if under == 0:
            return None
        value /= under
    negative = (sign + inner_sign) in {"-", "−", "–"}
    return -value if negative else value
