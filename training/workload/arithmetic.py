"""Questions about whole numbers: sums, differences, products, quotients, comparisons, sequences."""

from __future__ import annotations

from random import Random

from training.workload import Draft


def write_sum(rng: Random, level: int) -> Draft:
    """From one digit plus one digit to three addends of three digits."""
    low, high, addends = ((1, 9, 2), (10, 29, 2), (10, 99, 2), (100, 999, 2), (100, 999, 3))[level - 1]
    terms = [rng.randint(low, high) for _ in range(addends)]
    shown = " + ".join(map(str, terms))
    listed = ", ".join(map(str, terms[:-1])) + f" and {terms[-1]}"
    ask = rng.choice(
        (f"What is {shown}?", f"Add {listed}.", f"Compute {shown}.", f"What do {listed} make together?")
    )
    return Draft(ask, str(sum(terms)))


def write_difference(rng: Random, level: int) -> Draft:
    """From one-digit numbers to four digits."""
    low, high = ((1, 9), (5, 20), (10, 99), (100, 999), (1000, 9999))[level - 1]
    less, more = sorted(rng.sample(range(low, high + 1), 2))
    ask = rng.choice(
        (
            f"What is {more} - {less}?",
            f"Subtract {less} from {more}.",
            f"How much more is {more} than {less}?",
            f"I had {more} marbles and gave away {less}. How many are left?",
        )
    )
    return Draft(ask, str(more - less))


def write_product(rng: Random, level: int) -> Draft:
    """From the table up to five to two digits times two digits."""
    left, right = (
        ((2, 5), (2, 5)),
        ((2, 9), (5, 10)),
        ((6, 12), (6, 12)),
        ((3, 9), (13, 99)),
        ((13, 99), (13, 99)),
    )[level - 1]
    first, second = rng.randint(*left), rng.randint(*right)
    if rng.random() < 0.5:
        first, second = second, first
    ask = rng.choice(
        (
            f"What is {first} times {second}?",
            f"Compute {first} * {second}.",
            f"Multiply {first} by {second}.",
            f"There are {first} boxes with {second} pens each. How many pens are there?",
        )
    )
    return Draft(ask, str(first * second))


def write_division(rng: Random, level: int) -> Draft:
    """Quotients that come out even, and remainders on the two hardest levels."""
    if level >= 4:
        divisor = rng.randint(3, 9)
        number = rng.randint(20, 99) if level == 4 else rng.randint(100, 999)
        ask = rng.choice(
            (
                f"What is the remainder when {number} is divided by {divisor}?",
                f"What is {number} modulo {divisor}?",
                f"{number} cards are dealt to {divisor} players, all the same. How many cards are left over?",
            )
        )
        return Draft(ask, str(number % divisor))
    low, high = ((2, 5), (3, 9), (6, 19))[level - 1]
    divisor, quotient = rng.randint(2, (5, 9, 12)[level - 1]), rng.randint(low, high)
    number = divisor * quotient
    ask = rng.choice(
        (
            f"What is {number} divided by {divisor}?",
            f"Compute {number} / {divisor}.",
            f"{number} apples are shared by {divisor} children. How many does each get?",
        )
    )
    return Draft(ask, str(quotient))


def write_larger(rng: Random, level: int) -> Draft:
    """The largest of two to five numbers; harder ones are close together, negative, or decimal."""
    if level == 1:
        numbers: list[float] = [float(number) for number in rng.sample(range(1, 100), 2)]
    elif level == 2:
        start = rng.randint(100, 900)
        numbers = [float(number) for number in rng.sample(range(start, start + 30), 3)]
    elif level == 3:
        numbers = [float(number) for number in rng.sample(range(-50, 50), 3)]
    elif level == 4:
        whole = rng.randint(1, 20)
        numbers = [whole + rng.randint(1, 9) / 10, whole + rng.randint(11, 99) / 100]
    else:
        whole = rng.randint(1, 20)
        numbers = [whole + tenth / 100 for tenth in rng.sample(range(1, 100), 5)]
    if max(numbers) == min(numbers):
        numbers[0] += 0.01
    rng.shuffle(numbers)
    shown = [f"{number:g}" for number in numbers]
    listed = ", ".join(shown[:-1]) + f" or {shown[-1]}"
    plain = ", ".join(shown)
    ask = rng.choice(
        (
            f"Which is the largest: {listed}?",
            f"What is the greatest of these numbers: {plain}?",
            f"Find the maximum of {plain}.",
        )
    )
    return Draft(ask, f"{max(numbers):g}")


def write_sequence(rng: Random, level: int) -> Draft:
    """The next term: counting by steps, downwards, doubling, squares, sums of the two before."""
    if level == 1:
        step = rng.choice((1, 2, 5, 10))
        start = rng.randint(1, 10) * step
        terms = [start + step * place for place in range(6)]
    elif level == 2:
        start, step = rng.randint(1, 30), rng.randint(3, 12)
        terms = [start + step * place for place in range(6)]
    elif level == 3:
        start, step = rng.randint(60, 150), rng.randint(3, 9)
        terms = [start - step * place for place in range(6)]
    elif level == 4:
        start, factor = rng.randint(1, 7), rng.choice((2, 3))
        terms = [start * factor**place for place in range(6)]
    else:
        terms = [rng.randint(1, 9), rng.randint(1, 9)]
        while len(terms) < 7:
            terms.append(terms[-1] + terms[-2])
    shown = ", ".join(map(str, terms[:-1]))
    ask = rng.choice(
        (
            f"What number comes next: {shown}, ...?",
            f"Continue the sequence {shown} with one more number.",
            f"Find the next term of {shown}.",
        )
    )
    return Draft(ask, str(terms[-1]))
