"""Server-sent events are read whole, however they are cut, and their JSON is typed."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.openai_choice import GrowingChoice, entropy
from router.backends.openai_chunks import LONGEST_EVENT, ChatChunk, EventReader, error_text
from router.errors import BackendGarbled

STREAM = b': a comment\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata:{"b":\ndata: 2}\n\ndata: [DONE]\n\n'
EVENTS = [b'{"a": 1}', b'{"b":\n2}', b"[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]):
    reader, found = EventReader(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, stop in pairwise(edges):
        found += reader.feed(STREAM[start:stop])
    assert found == EVENTS


@pytest.mark.parametrize(
    "event",
    [
        b"data: a\n\n",
        b"data:a \n\n",
        b"data:\n\n",
        b"data: a\r\n\n",
        b"data: a\n\n\n",
        b"data: a\ndata: b\n\n",
    ],
)
def test_an_event_that_comes_whole_is_the_one_that_comes_byte_by_byte(event):
    whole, pieces = EventReader(), EventReader()
    whole_too = [*whole.feed(event), *whole.feed(event)]
    assert whole_too == [found for byte in event + event for found in pieces.feed(bytes([byte]))] != []


def test_an_event_without_its_closing_line_comes_at_the_end():
    reader = EventReader()
    assert reader.feed(b"data: last") == []
    assert reader.finish() == [b"last"]


def test_an_endless_event_is_garbled():
    reader = EventReader()
    with pytest.raises(BackendGarbled, match="longer than"):
        reader.feed(b"data: " + b"x" * (LONGEST_EVENT + 1))


def test_an_event_of_endless_lines_is_garbled():
    reader = EventReader()
    for _ in range(2):
        assert reader.feed(b"data: " + b"x" * (LONGEST_EVENT // 2 - 7) + b"\n") == []
    with pytest.raises(BackendGarbled, match="longer than"):
        reader.feed(b"data: " + b"x" * 100 + b"\n")


def test_keys_that_are_not_known_are_skipped():
    chunk = msgspec.json.decode(
        b'{"id": 1, "choices": [{"index": 0, "delta": {"content": "a", "x": []}}]}', type=ChatChunk
    )
    assert chunk.choices[0].piece().content == "a"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "bad", "code": 400}, "bad"),
        ({"error": {"message": "worse"}}, "worse"),
        ({"detail": "worst"}, "worst"),
        ("plain\n  text", "plain text"),
    ],
)
def test_the_sentence_of_an_error_is_found(error, text):
    assert error_text(error) == text


def test_both_names_of_a_thought_with_the_same_text_count_once():
    chunk = msgspec.json.decode(
        b'{"choices": [{"delta": {"reasoning": "hm", "reasoning_content": "hm"}}]}', type=ChatChunk
    )
    choice = GrowingChoice("0.0", "b", 0, 0)
    choice.add(chunk.choices[0], None, 0.0)
    assert choice.thoughts == ["hm"]


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_equal_alternatives_have_the_entropy_of_their_number(count):
    assert entropy([math.log(0.01)] * count) == pytest.approx(math.log(count))


def test_a_token_that_cannot_come_adds_no_entropy():
    assert entropy([0.0, -math.inf, -9999.0]) == 0.0
