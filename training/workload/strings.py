"""Questions about letters, lists and short programs."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from training.workload import Draft

Item = TypeVar("Item", int, str)

# by length, so that a level is a length
WORDS = (
    (
        "cat",
        "dog",
        "sun",
        "map",
        "tea",
        "box",
        "cup",
        "hat",
        "net",
        "oak",
        "pen",
        "rug",
        "sky",
        "van",
        "egg",
        "bee",
    ),
    (
        "lamp",
        "book",
        "tree",
        "moon",
        "food",
        "ball",
        "desk",
        "fish",
        "gold",
        "hill",
        "noon",
        "peer",
        "roof",
        "seed",
    ),
    (
        "apple",
        "bread",
        "chair",
        "green",
        "happy",
        "level",
        "music",
        "pizza",
        "queen",
        "river",
        "sheep",
        "table",
    ),
    (
        "banana",
        "bottle",
        "cheese",
        "garden",
        "kitten",
        "letter",
        "mirror",
        "orange",
        "pepper",
        "rabbit",
        "school",
    ),
    (
        "balloon",
        "blossom",
        "chicken",
        "diamond",
        "kitchen",
        "lantern",
        "picture",
        "rainbow",
        "volcano",
        "weather",
    ),
    (
        "accident",
        "bookshop",
        "calendar",
        "elephant",
        "hospital",
        "notebook",
        "sandwich",
        "umbrella",
        "vacation",
    ),
    ("butterfly", "chocolate", "committee", "crocodile", "newspaper", "pineapple", "raspberry", "strawberry"),
    (
        "assessment",
        "basketball",
        "bookkeeper",
        "connection",
        "microphone",
        "motorcycle",
        "successful",
        "television",
    ),
)


def write_letters(rng: Random, level: int) -> Draft:
    """How many letters a word has, or how often one of them occurs in it."""
    word = rng.choice(WORDS[level - 1] if level < 3 else WORDS[level] + WORDS[level + 1] + WORDS[level + 2])
    if rng.random() < 0.4:
        ask = rng.choice(
            (f"How many letters does the word '{word}' have?", f"Count the letters of '{word}'.")
        )
        return Draft(ask, str(len(word)))
    letter = rng.choice(word)
    ask = rng.choice(
        (
            f"How many times does the letter '{letter}' occur in '{word}'?",
            f"Count the letter {letter} in the word {word}.",
            f"How often is there a '{letter}' in '{word}'?",
        )
    )
    return Draft(ask, str(word.count(letter)))


def write_backwards(rng: Random, level: int) -> Draft:
    """A word spelt backwards, or its first or last letters."""
    if level <= 2:
        word = rng.choice(WORDS[level] + WORDS[level + 1])
        place, named = (
            rng.choice(((0, "first"), (-1, "last")))
            if level == 1
            else rng.choice(((1, "second"), (-1, "last")))
        )
        ask = rng.choice(
            (f"What is the {named} letter of the word '{word}'?", f"Name the {named} letter of '{word}'.")
        )
        return Draft(ask, word[place])
    word = rng.choice(WORDS[level - 3] + WORDS[(level - 3) * 2])
    ask = rng.choice(
        (
            f"Write the word '{word}' backwards.",
            f"Reverse the letters of '{word}'.",
            f"Spell '{word}' in reverse.",
        )
    )
    return Draft(ask, word[::-1])


def write_sorting(rng: Random, level: int) -> Draft:
    """Two to six numbers or words, in order."""
    many = level + 1
    if rng.random() < 0.6:
        down = level >= 4 and rng.random() < 0.5
        numbers = _unsorted(rng, rng.sample(range(1, 10 if level == 1 else 100), many))
        shown = ", ".join(map(str, numbers))
        order = "from largest to smallest" if down else "from smallest to largest"
        ask = rng.choice((f"Sort these numbers {order}: {shown}.", f"Put {shown} in order {order}."))
        return Draft(ask, ", ".join(map(str, sorted(numbers, reverse=down))))
    words = _unsorted(rng, rng.sample([word for group in WORDS[:5] for word in group], many))
    shown = ", ".join(words)
    ask = rng.choice((f"Sort these words alphabetically: {shown}.", f"Put {shown} in alphabetical order."))
    return Draft(ask, ", ".join(sorted(words)))


def _unsorted(rng: Random, items: list[Item]) -> list[Item]:
    """The items in an order that is neither of the two sorted ones, except that two items are not ascending."""
    while items in (sorted(items), sorted(items, reverse=True)[: len(items) * (len(items) > 2)]):
        rng.shuffle(items)
    return items


def write_code(rng: Random, level: int) -> Draft:
    """What a short Python program prints."""
    first, second, third = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 5)
    word = rng.choice(WORDS[1] + WORDS[2])
    choices: tuple[tuple[tuple[str, int], ...], ...] = (
        (
            (f"print({first} + {second})", first + second),
            (f"x = {first * third}\nprint(x)", first * third),
            (f"x = {first}\nprint(x + 1)", first + 1),
            (f"print({first * 10 + second})", first * 10 + second),
        ),
        (
            (f"x = {first}\ny = {second}\nprint(x * y)", first * second),
            (f"print(len('{word}'))", len(word)),
            (f"print(max({first}, {second + 9}, {third}))", second + 9),
            (f"x = {first}\nx = x + {third}\nprint(x)", first + third),
        ),
        (
            (f"print({first * second + third} % {second})", (first * second + third) % second),
            (f"x = [{first}, {second}, {third}]\nprint(x[1])", second),
            (f"x = [{first}, {second}, {third}]\nprint(sum(x))", first + second + third),
            (f"print('{word}'.count('{word[0]}'))", word.count(word[0])),
        ),
        (
            (f"x = 0\nfor i in range({third}):\n    x += {first}\nprint(x)", third * first),
            (f"print({first} ** 2 - {second})", first**2 - second),
            (f"print(len('{word}' * {third}))", len(word) * third),
            (
                f"x = {first}\nif x > {second}:\n    x = x - {second}\nprint(x)",
                first - second if first > second else first,
            ),
        ),
        (
            (f"x = 1\nwhile x < {first * second}:\n    x = x * 2\nprint(x)", _doubled_past(first * second)),
            (f"print(sum(i * i for i in range({third})))", sum(i * i for i in range(third))),
            (f"print(sorted([{first}, {second}, {third}])[-1] - {third})", max(first, second, third) - third),
            (f"print(len(set([{first}, {second}, {third}, {first}])))", len({first, second, third})),
        ),
    )
    program, printed = rng.choice(choices[level - 1])
    ask = rng.choice(
        (
            "What does this Python program print?",
            "Give the output of this Python code.",
            "Run this in your head. What is printed?",
        )
    )
    return Draft(f"{ask}\n\n{program}", str(printed))


def _doubled_past(bound: int) -> int:
    value = 1
    while value < bound:
        value *= 2
    return value
