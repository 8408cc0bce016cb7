"""After which tokens of a sample `collect` looks at it: a check-point is chosen without knowing how long it will be."""

from __future__ import annotations

from dataclasses import dataclass

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class CheckPoints:
    """Either after every `every` tokens, or at the places `at`; a share of the final length would be hindsight."""

    every: int = 0  # 0: never
    at: tuple[int, ...] = ()  # ascending; 0: before the first token

    @classmethod
    def parse(cls, text: str, separator: str = ",") -> CheckPoints:
        """`32`: after every 32 tokens. `0,32,64`: at these places. Empty or `0`: nowhere. Raises `TrainingError`."""
        numbers = [part.strip() for part in text.split(separator)] if text.strip() else ["0"]
        if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in numbers):
            raise TrainingError(
                f"snapshots: expected N (after every N tokens) or N{separator}N{separator}…, got {text!r}"
            )
        places = sorted({int(part) for part in numbers})
        return cls(every=places[0]) if len(numbers) == 1 else cls(at=tuple(places))

    def __bool__(self) -> bool:
        return bool(self.every or self.at)

    def __str__(self) -> str:
        """As it is written."""
        return ",".join(map(str, self.at)) if self.at else str(self.every or "")

    def before(self, tokens: int) -> tuple[int, ...]:
        """The check-points of a sample of `tokens` tokens: those before its end."""
        if self.every:
            return tuple(range(self.every, tokens, self.every))
        return tuple(place for place in self.at if place < tokens)
