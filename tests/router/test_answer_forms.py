"""Dates and code that say the same share a canonical string, others do not."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.answering.code_forms import canonical_code
from router.answering.date_forms import canonical_date
from router.answers import canonical, extract


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-03-05", "2024-03-05"),
        ("2024/3/5", "2024-03-05"),
        ("2024-03-05T14:00:00Z", "2024-03-05"),
        ("March 5, 2024", "2024-03-05"),
        ("Tuesday, March 5th, 2024", "2024-03-05"),
        ("Mar. 5 2024", "2024-03-05"),
        ("5 March 2024", "2024-03-05"),
        ("the 5th of March, 2024", "2024-03-05"),
        ("on 5 Mar 2024.", "2024-03-05"),
        ("5.3.2024", "2024-03-05"),
        ("25/12/2023", "2023-12-25"),
        ("12/25/2023", "2023-12-25"),
        ("4/4/2024", "2024-04-04"),
        ("Sept 2021", "2021-09"),
        ("February 29, 2024", "2024-02-29"),
        ("February 29, 2023", None),
        ("3/5/2024", None),
        ("31/31/2024", None),
        ("2024-13-01", None),
        ("2024-00-10", None),
        ("Smarch 5, 2024", None),
        ("March 5", None),
        ("2024", None),
        ("version 2024.03.05.1", None),
    ],
)
def test_a_date_is_read_or_is_none(text, date):
    assert canonical_date(text) == date


@given(st.dates(min_value=dt.date(1000, 1, 1)))
def test_every_day_is_the_same_in_every_form(day):
    written = [
        day.isoformat(), f"{day.day} {day:%B} {day.year}", f"{day:%b} {day.day}, {day.year}",
        f"{day.day}.{day.month}.{day.year}", f"{day:%A}, {day:%B} {day.day}, {day.year}",
    ]  # fmt: skip
    assert {canonical(text, "date") for text in written} == {day.isoformat()}


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("It began on 3 May 1999 and ended on June 7, 2001.", "June 7, 2001"),
        ("The answer is March 5, 2024, not 2024-03-06.", "2024-03-06"),
        ("They met in 1990. **Answer:** 5 March 2024", "5 March 2024"),
        ("no date, but 12 and 1999", None),
    ],
)
def test_the_last_date_is_found(text, date):
    assert extract(text, "date") == date


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x = 1 # one\ny = 2", "x=1\n\ny  =  2"),
        ('print("a")', "print( 'a' )"),
        ("def f(x):\n    return x+1", "def f(x):\n  # add\n  return x + 1\n"),
        ("a = [1,\n     2]", "a = [1, 2]"),
    ],
)
def test_code_that_differs_in_form_alone_is_equal(first, second):
    assert canonical_code(first) == canonical_code(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("if x:\n    y()\nz()", "if x:\n    y()\n    z()"),
        ("print('a b')", "print('ab')"),
        ('print("# a")', "print('')"),
        ("x = 1", "x = 2"),
        ("#include <a.h>\nint x;", "#include <b.h>\nint x;"),
        ("return x", "returnx"),
        ("a = 'it\"s'", 'a = "it\'s"'),
    ],
)
def test_code_that_does_something_else_is_not(first, second):
    assert canonical_code(first) != canonical_code(second)


@pytest.mark.parametrize(
    "text", ["((((" * 3000, "if x:\n\ty\n        z", "'''never closed", "€$?", "", "\x00", "a\\"]
)
def test_what_is_not_python_is_compared_line_by_line(text):
    assert canonical_code(text) == canonical_code(text + "\n\n")
