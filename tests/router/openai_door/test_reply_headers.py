"""Headers stay within what proxies take, whatever names there are."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from router.openai_door.headers import DEGRADED_HEADER, reply_headers

SENTENCES = [f"backend '{'小模型' * 20}-{number}' failed: HTTP 503" for number in range(20)]


@pytest.mark.parametrize(
    "degraded", [SENTENCES, [sentence.replace("小模型", "ab") for sentence in SENTENCES]]
)
def test_sentences_are_cut_where_they_are_too_long_as_they_are_sent_and_say_so(degraded):
    told = reply_headers("r", "d", "plan", "", degraded)[DEGRADED_HEADER]
    assert 900 < len(told) <= 1000
    text = unquote(told, errors="strict")
    assert text.endswith(" ...") and "; ".join(degraded).startswith(text.removesuffix(" ..."))


def test_sentences_that_fit_are_told_whole():
    degraded = ["backend '小' failed: HTTP 503", "plan '大' took over"]
    told = reply_headers("r", "d", "plan", "", degraded)[DEGRADED_HEADER]
    assert unquote(told) == "; ".join(degraded)
