"""The workload's golds are right by other means than those that made them, and its rows never change."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from router.plugins import resolve
from router.recordings.text_split import normalised
from router.verifiers import VERIFIERS, Case
from training.errors import TrainingError
from training.graders import parse_grader
from training.workload import KINDS, LEVELS
from training.workload.generate import Question, questions_of, workload, write_workload
from training.workload.language import OPPOSITES, PAST, THINGS
from training.workload.tables import countries, elements

MANY = 60
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def numbers(text: str) -> list[Fraction]:
    return [Fraction(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def check_sum(text: str) -> Fraction:
    return sum(numbers(text), Fraction(0))


def check_difference(text: str) -> Fraction:
    first, second = (abs(number) for number in numbers(text))
    return abs(first - second)


def check_product(text: str) -> Fraction:
    first, second = numbers(text)
    return first * second


def check_division(text: str) -> Fraction:
    first, second = numbers(text)
    rest = re.search("remainder|modulo|left over", text)
    return first % second if rest else first / second


def check_larger(text: str) -> Fraction:
    return max(numbers(text))


def check_sequence(text: str) -> Fraction:
    terms = numbers(text)
    steps = [after - before for before, after in pairwise(terms)]
    if len(set(steps)) == 1:
        return terms[-1] + steps[0]
    if len({after / before for before, after in pairwise(terms)}) == 1:
        return terms[-1] * terms[1] / terms[0]
    assert all(terms[n] == terms[n - 1] + terms[n - 2] for n in range(2, len(terms)))
    return terms[-1] + terms[-2]


def check_shopping(text: str) -> Fraction:
    found = numbers(text)
    if "more. How many" in text:
        return found[0] + found[1]
    spent = found[0] * found[1] + (found[2] * found[3] if "also buys" in text else 0)
    if "voucher" in text:
        return found[5] - (spent - found[4])
    return found[2] - spent if "pays" in text else spent


def check_units(text: str) -> Fraction:
    base = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
    months, lengths = {"months": 1, "years": 12}, {"centimetres": 1, "metres": 100, "kilometres": 100_000}
    rest = (
        {"grams": 1, "kilograms": 1000},
        {"cents": 1, "dollars": 100},
        {"inches": 1, "feet": 12},
        {"eggs": 1, "dozens": 12},
    )
    words = [
        word
        for word in re.findall(r"[a-z]+", text)
        if any(word in family for family in (base, months, lengths, *rest))
    ]
    family = next(family for family in (base, months, lengths, *rest) if words[0] in family)
    amounts = [(Fraction(number), unit) for number, unit in re.findall(r"(\d+) ([a-z]+)", text)]
    asked = next(word for word in words if word not in {unit for _, unit in amounts} or len(amounts) == 2)
    return sum((number * family[unit] for number, unit in amounts), Fraction(0)) / family[asked]


def check_roman(text: str) -> Fraction:
    numeral = re.findall(r"\b[IVXLCDM]+\b", text)[-1]
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}[sign] for sign in numeral]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return Fraction(sum(-value if value < after else value for value, after in pairs))


def check_code(text: str) -> Fraction:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(text.partition("\n\n")[2], {})  # the program that was asked about
    return Fraction(printed.getvalue().strip())


def check_letters(text: str) -> Fraction:
    word = (re.findall(r"'(\w{2,})'", text) or re.findall(r"the word (\w+)", text))[-1]
    letter = re.search(r"letter '?(\w)\b|there a '(\w)'", text)
    return Fraction(len(word) if letter is None else len(re.findall(letter[1] or letter[2], word)))


NUMBERS: dict[str, Callable[[str], Fraction]] = {
    "sum": check_sum,
    "difference": check_difference,
    "product": check_product,
    "division": check_division,
    "larger": check_larger,
    "sequence": check_sequence,
    "shopping": check_shopping,
    "units": check_units,
    "roman": check_roman,
    "code": check_code,
    "letters": check_letters,
}


def check_weekday(text: str) -> str:
    monday = dt.date(2024, 1, 1)
    day = next(monday + dt.timedelta(n) for n in range(7) if DAYS[n] in text)
    away = int(numbers(text)[0]) if numbers(text) else 1
    back = re.search("ago|before|yesterday", text) is not None
    return f"{day + dt.timedelta(-away if back else away):%A}"


def check_backwards(text: str) -> str:
    word = re.findall(r"'(\w+)'", text)[-1]
    named = re.search("first|second|last", text)
    return "".join(reversed(word)) if named is None else word[{"first": 0, "second": 1, "last": -1}[named[0]]]


def check_sorting(text: str) -> str:
    listed = re.search(r"(?:: |Put )([\w, ]+?)(?:\.| in (?:order|alphabetical))", text)
    assert listed is not None
    items = listed[1].split(", ")
    number = items[0].isdigit()
    ordered = sorted(items, key=int if number else str, reverse="largest to smallest" in text)
    return ", ".join(ordered)


def check_mood(text: str) -> str:
    review = text.partition("\n\n")[2]
    good = r"wonderful|excellent|great|delightful|superb|charming|brilliant|lovely|perfect|fantastic"
    if "admit" in review:  # said to be anything but a bad word, or anything but a good one
        return "negative" if re.search(good, review.rpartition("anything but")[2]) else "positive"
    said = review.partition("I found it")[2] or review
    praised = re.search(good, said) is not None
    return "positive" if praised != ("not" in said.split()) else "negative"


WORDS: dict[str, Callable[[str], str]] = {
    "weekday": check_weekday,
    "backwards": check_backwards,
    "sorting": check_sorting,
    "mood": check_mood,
}


@pytest.fixture(scope="module")
def rows() -> list[Question]:
    return workload(MANY)


def of_kinds(rows: list[Question], kinds: set[str]) -> Iterator[Question]:
    return (row for row in rows if row.task in kinds)


@pytest.mark.parametrize("kind", sorted(NUMBERS))
def test_numbers_are_right_by_another_computation(kind: str, rows: list[Question]) -> None:
    wrong = [row for row in of_kinds(rows, {kind}) if NUMBERS[kind](row.query) != Fraction(row.gold)]
    assert wrong == []


@pytest.mark.parametrize("kind", sorted(WORDS))
def test_words_are_right_by_another_computation(kind: str, rows: list[Question]) -> None:
    wrong = [row for row in of_kinds(rows, {kind}) if WORDS[kind](row.query) != row.gold]
    assert wrong == []


def test_what_comes_from_tables_is_in_the_tables(rows: list[Question]) -> None:
    capitals = {country.capital: country for country in countries()}
    names = {country.name: country for country in countries()}
    pairs = [pair.split() for level in OPPOSITES for pair in level.split("|")]
    opposites = {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}
    pasts = dict(pair.split() for level in PAST for pair in level.split("|"))
    for row in of_kinds(rows, {"capital", "continent", "opposite", "past", "sort_of"}):
        words = set(re.findall(r"[\w-]+", row.query))
        if row.task == "capital":
            country = names.get(row.gold) or capitals[row.gold]
            assert (
                country.capital if row.gold in names and country.capital in row.query else country.name
            ) in row.query
        elif row.task == "continent":
            found = [c for c in countries() if c.name in row.query or c.capital in row.query]
            assert row.gold in {c.continent for c in found}
        elif row.task == "opposite":
            assert any((word, row.gold) in opposites for word in words)
        elif row.task == "past":
            assert any(pasts.get(word) == row.gold for word in words)
        else:
            assert words & set(THINGS[row.gold].split())


def test_well_known_facts_are_as_known() -> None:
    facts = {country.name: (country.capital, country.continent) for country in countries()}
    assert facts["Peru"] == ("Lima", "America")
    assert facts["Japan"] == ("Tokyo", "Asia")
    assert facts["Kenya"] == ("Nairobi", "Africa")
    assert (26, "Fe", "iron") in elements() and (92, "U", "uranium") in elements()
    assert not {symbol for _, symbol, _ in elements()} & {"In", "As", "At", "He", "I", "Be"}


def test_there_are_enough_queries_of_enough_kinds_at_every_level(rows: list[Question]) -> None:
    assert len(rows) >= 1000 and len(KINDS) >= 8
    assert set(Counter(row.task for row in rows).values()) == {MANY}
    assert Counter((row.task, row.level) for row in rows) == {
        (kind, level): MANY // LEVELS for kind in KINDS for level in range(1, LEVELS + 1)
    }


def test_no_question_is_asked_twice(rows: list[Question]) -> None:
    assert len({normalised(row.query) for row in rows}) == len({row.query_id for row in rows}) == len(rows)


def test_wording_varies_within_a_kind(rows: list[Question]) -> None:
    for kind in KINDS:
        starts = {" ".join(re.sub(r"\d+", "0", row.query).split()[:2]) for row in of_kinds(rows, {kind})}
        assert len(starts) >= 2, kind


def test_the_rows_are_the_same_on_every_machine(rows: list[Question]) -> None:
    said = "\n".join(f"{row.query_id}\t{row.query}\t{row.gold}" for row in rows)
    assert sha256(said.encode()).hexdigest()[:16] == "40c3e327a78771ce"


def test_a_longer_workload_begins_with_the_shorter_one(rows: list[Question]) -> None:
    assert workload(7) == rows[: 7 * len(KINDS)]
    assert workload(7, kinds=["sum", "mood"]) == [row for row in rows if row.task in {"sum", "mood"}][:14]


def test_another_seed_asks_other_questions(rows: list[Question]) -> None:
    others = {row.query for row in workload(20, seed=1)}
    assert len(others & {row.query for row in rows[: 20 * len(KINDS)]}) < len(others) / 3


def test_a_kind_that_runs_out_of_questions_says_so() -> None:
    with pytest.raises(TrainingError, match=r"kind 'past' has only .* different questions, not 2000"):
        questions_of("past", 2000)


def test_an_unknown_kind_is_named_with_the_choices() -> None:
    with pytest.raises(TrainingError, match="unknown kind 'sums'; choose from sum, difference"):
        workload(1, kinds=["sums"])


def test_every_gold_passes_its_own_grader(rows: list[Question]) -> None:
    for row in rows:
        grader = parse_grader(KINDS[row.task][0])
        assert grader.verifier.grade(Case(row.query, row.gold), row.gold) == 1.0, row


def test_graders_are_verifiers() -> None:
    for grader, _ in KINDS.values():
        assert resolve("verifier", VERIFIERS, grader.partition(":")[0])


def test_a_written_workload_is_one_row_per_line(rows: list[Question], tmp_path: Path) -> None:
    path = tmp_path / "new" / "w.jsonl"
    write_workload(path, rows[:3])
    assert len(path.read_text("utf-8").splitlines()) == 3
