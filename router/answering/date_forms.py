"""Dates as people and models write them, read to ISO 8601: `2024-03-05`, `March 5th, 2024`, `5 Mar 2024`, `5.3.2024`.

A month of a year is `2024-03`. Of `3/5/2024` nobody can say which number is the month: it is read only where one of
the two is above 12, or where both are equal, and stays as it is written otherwise. Days that do not exist are no dates.
When it fails: other languages than English, two-digit years, other calendars, and days without a year.
"""

from __future__ import annotations

import calendar
import re

MONTHS = {name.casefold(): number for number, name in enumerate(calendar.month_name) if number}
_SHORT = {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
_NAME = r"(?P<month>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_FORMS = tuple(
    re.compile(rf"(?<![\w/.-]){form}(?![\w/-]|\.\d)", re.IGNORECASE)
    for form in (
        rf"{_YEAR}[-/.](?P<number>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?:T[\d:.]{{2,15}}Z?)?",
        rf"(?P<day>\d{{1,2}})\.\s?(?P<number>\d{{1,2}})\.\s?{_YEAR}",
        rf"(?P<first>\d{{1,2}})[/-](?P<second>\d{{1,2}})[/-]{_YEAR}",
        rf"{_NAME}\s{{1,2}}(?:the\s)?{_DAY}\s?,?\s{{1,2}}{_YEAR}",
        rf"(?:the\s)?{_DAY}\s(?:of\s)?{_NAME}\s?,?\s{_YEAR}",
        rf"{_NAME}\s?,?\s(?:of\s)?{_YEAR}",
    )
)


def last_date(text: str) -> str | None:
    """The last date in a text, as it is written; None where there is none. Longer forms win over their parts."""
    best: tuple[int, int, str] | None = None
    for form in _FORMS:
        for found in form.finditer(text):
            if iso(found) is not None or "first" in found.groupdict():
                place = (found.end(), found.end() - found.start(), found.group())
                best = place if best is None or place[:2] > best[:2] else best
    return None if best is None else best[2]


def canonical_date(text: str) -> str | None:
    """`2024-03-05` or `2024-03` for a text that is one date, a weekday before it allowed; None for every other."""
    plain = re.sub(r"^\s*(?:on\s)?(?:[A-Za-z]{3,6}day,?\s)?\s*", "", text[:80], count=1).strip(" .,;:*_\"'")
    for form in _FORMS:
        found = form.fullmatch(plain)
        if found is not None:
            return iso(found)
    return None


def iso(found: re.Match[str]) -> str | None:
    """The date of a match; None where it does not exist or can be read in two ways."""
    parts = found.groupdict()
    year = int(parts["year"])
    if "first" in parts:
        first, second = int(parts["first"]), int(parts["second"])
        if first <= 12 and second <= 12 and first != second:
            return None
        month, day = (first, second) if first <= 12 else (second, first)
    else:
        month = int(parts["number"]) if "number" in parts else month_number(parts["month"])
        day = int(parts["day"]) if parts.get("day") else 0
    if not (1 <= month <= 12 and year > 0) or ("day" in parts and not day):
        return None
    if "day" not in parts and "first" not in parts:
        return f"{year:04}-{month:02}"
    return f"{year:04}-{month:02}-{day:02}" if 1 <= day <= calendar.monthrange(year, month)[1] else None


def month_number(name: str) -> int:
    """1 to 12 for a month's name or its short form, else 0."""
    plain = name.casefold()
    return MONTHS.get(plain) or _SHORT.get(plain, 0)
