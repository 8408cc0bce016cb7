"""Events of several samples come in the order of their times."""

from __future__ import annotations

import pytest

from router.backends.timeline import Timeline, pieces


@pytest.mark.parametrize(("text", "count"), [("abc", 2), ("abc", 9), ("", 3), ("naïve 👍🏽 text", 4)])
def test_pieces_join_to_the_text(text, count):
    cut = pieces(text, count)
    assert "".join(cut) == text
    assert len(cut) == max(1, min(count, len(text)))


async def test_a_timeline_orders_events_by_their_time():
    timeline: Timeline[str] = Timeline(0.0, lambda: 0.0)
    timeline.start(iter([(1.0, "a1"), (5.0, "a5")]))
    timeline.start(iter([(1.0, "b1"), (2.0, "b2")]))
    first = [await timeline.next() for _ in range(2)]
    timeline.start(iter([(0.5, "c1.5"), (9.0, "c10")]))
    rest = [await timeline.next() for _ in range(4)]
    assert first + rest == ["a1", "b1", "c1.5", "b2", "a5", "c10"]
    assert not timeline
