"""What is said while work is going on and nobody looks at a terminal."""

from __future__ import annotations

from training.progress import SILENCE_S, Lines


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_at_every_tenth_and_at_least_one_every_half_minute() -> None:
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.tell("reading", 0.0)
    lines.tell("fold 1 · always", 0.05)  # the same tenth
    assert said == ["  0 %  reading"]
    clock.now += SILENCE_S - 1
    lines.still()
    assert len(said) == 1
    clock.now += 1
    lines.still()
    lines.still()  # only once
    assert said[1:] == ["  5 %  fold 1 · always · after 0 min 30 s"]
    lines.tell("fold 1 · apportion", 0.1)
    clock.now += 2 * SILENCE_S
    lines.still()
    assert said[2:] == [" 10 %  fold 1 · apportion", " 10 %  fold 1 · apportion · after 1 min 30 s"]
