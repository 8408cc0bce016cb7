"""Questions of the day: shopping, units, Roman numerals, days of the week."""

from __future__ import annotations

from random import Random

from training.workload import Draft

NAMES = ("Ana", "Ben", "Chloe", "David", "Ella", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kofi", "Lena")
GOODS = ("apples", "books", "cakes", "pencils", "tickets", "shirts", "bottles", "lamps", "cups", "stamps")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# many small units in one large one: small, large, how many; all levels but the hardest go one step
UNITS = (
    ("minutes", "hours", 60),
    ("seconds", "minutes", 60),
    ("days", "weeks", 7),
    ("months", "years", 12),
    ("hours", "days", 24),
    ("centimetres", "metres", 100),
    ("metres", "kilometres", 1000),
    ("grams", "kilograms", 1000),
    ("cents", "dollars", 100),
    ("inches", "feet", 12),
    ("eggs", "dozens", 12),
)
ROMAN = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)


def write_shopping(rng: Random, level: int) -> Draft:
    """A word problem of one to four steps."""
    who, other = rng.sample(NAMES, 2)
    goods, more_goods = rng.sample(GOODS, 2)
    count, price = rng.randint(2, 5 + level), rng.randint(2, 6 + level)
    spent = count * price
    ask = "How many dollars is that?"
    if level == 1:
        has, gets = rng.randint(2, 12), rng.randint(2, 9)
        text = (
            f"{who} has {has} {goods}. {other} gives {who} {gets} more. How many {goods} does {who} have now?"
        )
        return Draft(text, str(has + gets))
    text = f"{who} buys {count} {goods} at {price} dollars each."
    if level == 2:
        return Draft(f"{text} {ask}", str(spent))
    if level == 3:
        paid = spent + rng.randint(3, 30)
        text = f"{text} {who} pays with {paid} dollars. How many dollars of change are due?"
        return Draft(text, str(paid - spent))
    second, second_price = rng.randint(2, 7), rng.randint(2, 9)
    spent += second * second_price
    text = f"{text} {who} also buys {second} {more_goods} at {second_price} dollars each."
    if level == 4:
        return Draft(f"{text} How many dollars in all?", str(spent))
    off = rng.randint(2, 9)
    paid = spent - off + rng.randint(5, 40)
    text = f"{text} A voucher takes {off} dollars off. {other} pays for everything with {paid} dollars."
    return Draft(f"{text} How much change does {other} get?", str(paid - spent + off))


def write_units(rng: Random, level: int) -> Draft:
    """From large to small units and, harder, back or with a rest."""
    small, large, many = rng.choice(UNITS[: 4 + 2 * level])
    amount = rng.randint(2, (3, 6, 12, 15, 25)[level - 1])
    if level == 5:
        rest = rng.randint(1, many - 1)
        text = f"How many {small} are {amount} {large} and {rest} {small}?"
        return Draft(text, str(amount * many + rest))
    if level == 4:
        ask = rng.choice(
            (f"How many {large} are {amount * many} {small}?", f"Convert {amount * many} {small} to {large}.")
        )
        return Draft(ask, str(amount))
    ask = rng.choice(
        (
            f"How many {small} are in {amount} {large}?",
            f"Convert {amount} {large} to {small}.",
            f"Express {amount} {large} in {small}.",
        )
    )
    return Draft(ask, str(amount * many))


def roman(number: int) -> str:
    """The Roman numeral of 1 .. 3999."""
    out = ""
    for value, sign in ROMAN:
        while number >= value:
            out, number = out + sign, number - value
    return out


def write_roman(rng: Random, level: int) -> Draft:
    """Roman numerals of growing size."""
    low, high = ((1, 10), (5, 20), (10, 50), (50, 300), (300, 2999))[level - 1]
    number = rng.randint(low, high)
    ask = rng.choice(
        (
            f"What number is the Roman numeral {roman(number)}?",
            f"Write the Roman numeral {roman(number)} in ordinary digits.",
            f"A clock tower shows the inscription {roman(number)}. Which number is meant?",
        )
    )
    return Draft(ask, str(number))


def write_weekday(rng: Random, level: int) -> Draft:
    """The day after, before, or many days away from another."""
    start = rng.randrange(7)
    if level == 1:
        ask = rng.choice(("Which day comes right after {}?", "If today is {}, what day is tomorrow?"))
        return Draft(ask.format(DAYS[start]), DAYS[(start + 1) % 7])
    if level == 2:
        ask = rng.choice(("Which day comes right before {}?", "If today is {}, what day was yesterday?"))
        return Draft(ask.format(DAYS[start]), DAYS[(start - 1) % 7])
    away = (0, 0, rng.randint(2, 6), rng.randint(7, 20), rng.randint(21, 200))[level - 1]
    back = level >= 4 and rng.random() < 0.5
    if back:
        text = f"Today is {DAYS[start]}. What day of the week was it {away} days ago?"
        return Draft(text, DAYS[(start - away) % 7])
    ask = rng.choice(
        ("If today is {0}, what day of the week is it in {1} days?", "What day is {1} days after {0}?")
    )
    return Draft(ask.format(DAYS[start], away), DAYS[(start + away) % 7])
