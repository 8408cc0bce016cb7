"""Questions from tables: capitals and continents (package countryinfo), chemical elements (package periodictable).

Harder levels ask about smaller countries and rarer elements. Countries are left out where an informed person may
give another answer: more than one capital or a disputed one, a capital that is spelt with marks, two continents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import TypeVar

from training.workload import LEVELS, Draft

AMBIGUOUS = frozenset(
    (
        *("Armenia", "Azerbaijan", "Benin", "Bolivia", "Burundi", "Cyprus", "Egypt", "Eswatini", "Georgia"),
        *("Indonesia", "Israel", "Ivory Coast", "Kazakhstan", "Kosovo", "Malaysia", "Myanmar", "Netherlands"),
        *(
            "Palestine",
            "Puerto Rico",
            "Russia",
            "Singapore",
            "South Africa",
            "Sri Lanka",
            "Swaziland",
            "Taiwan",
        ),
        *("Tanzania", "Timor-Leste", "East Timor", "Turkey", "United States", "Western Sahara", "Hong Kong"),
    )
)
CONTINENTS = {
    "Africa": "Africa",
    "Americas": "America",
    "Asia": "Asia",
    "Europe": "Europe",
    "Oceania": "Oceania",
}
SMALLEST = 300_000  # inhabitants

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Country:
    """One country that has one well-known capital."""

    name: str
    capital: str
    continent: str
    population: int


@cache
def countries() -> tuple[Country, ...]:
    """All countries that can be asked about, the most populous first."""
    found: list[Country] = []
    for file in (files("countryinfo") / "data").iterdir():
        if not file.name.endswith(".json"):
            continue
        entry = json.loads(file.read_text("utf-8"))
        name, capital, region = entry["name"], entry.get("capital") or "", entry.get("region")
        plain = (
            f"{name}{capital}".replace(" ", "").isascii() and f"{name}{capital}".replace(" ", "").isalpha()
        )
        people = entry.get("population") or 0
        if plain and capital and region in CONTINENTS and people >= SMALLEST and name not in AMBIGUOUS:
            found.append(Country(name, capital, CONTINENTS[region], people))
    return tuple(sorted(found, key=lambda country: (-country.population, country.name)))


@cache
def elements() -> tuple[tuple[int, str, str], ...]:
    """(atomic number, symbol, name) of the elements up to uranium; 'aluminum' and the like left out."""
    import periodictable

    spelt_in_two_ways = {"aluminum", "aluminium", "sulfur", "sulphur", "cesium", "caesium"}
    words = {"As", "At", "Be", "He", "I", "In"}  # would be found in many a sentence
    return tuple(
        (element.number, element.symbol, element.name)
        for element in periodictable.elements
        if 1 <= element.number <= 92 and element.name not in spelt_in_two_ways and element.symbol not in words
    )


def _of_level(rng: Random, rows: tuple[Row, ...], level: int) -> Row:
    """A row of the level's fifth."""
    return rows[rng.randrange(len(rows) * (level - 1) // LEVELS, len(rows) * level // LEVELS)]


def write_capital(rng: Random, level: int) -> Draft:
    """Capitals, of ever smaller countries; sometimes the other way round."""
    country = _of_level(rng, countries(), level)
    if rng.random() < 0.25 and country.name not in country.capital:
        ask = rng.choice(
            (
                f"{country.capital} is the capital of which country?",
                f"Of which country is {country.capital} the capital?",
            )
        )
        return Draft(ask, country.name)
    ask = rng.choice(
        (
            f"What is the capital of {country.name}?",
            f"Which city is the capital of {country.name}?",
            f"Name the capital city of {country.name}.",
        )
    )
    return Draft(ask, country.capital)


def write_continent(rng: Random, level: int) -> Draft:
    """The continent of a country or, harder, of a capital. Oceania is left out: some say Australia."""
    known = tuple(country for country in countries() if country.continent != "Oceania")
    country = _of_level(rng, known, level)
    what = country.name if level < 4 or rng.random() < 0.4 else f"the city of {country.capital}"
    ask = rng.choice(
        (
            f"On which continent is {what}?",
            f"Name the continent where {what} is found.",
            f"{what[0].upper()}{what[1:]} belongs to which continent?",
        )
    )
    return Draft(ask, country.continent)


def write_element(rng: Random, level: int) -> Draft:
    """Symbols of elements and, harder, names and atomic numbers."""
    number, symbol, name = _of_level(rng, elements(), level)
    if level >= 3 and rng.random() < 0.3:
        ask = rng.choice(
            (f"What is the atomic number of {name}?", f"How many protons does an atom of {name} have?")
        )
        return Draft(ask, str(number))
    if rng.random() < 0.35:
        ask = rng.choice(
            (
                f"Which chemical element has the symbol {symbol}?",
                f"Name the element with the symbol {symbol}.",
            )
        )
        return Draft(ask, name)
    ask = rng.choice(
        (
            f"What is the chemical symbol of {name}?",
            f"Which symbol stands for the element {name}?",
            f"Give the symbol of {name} in the periodic table.",
        )
    )
    return Draft(ask, symbol)
