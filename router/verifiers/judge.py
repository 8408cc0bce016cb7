"""Right where a model prefers the answer to the reference backend's: a label without gold.

The first reference is what an answer is compared with, in both orders (see `router.answering.pairwise`): 1 for a win in
both, 0 for a loss in both, `tie` for all else, also for an answer that is the reference word for word (not asked).
With the default of .5 the score is a win rate, and .5 means as good as the reference; with `tie = 1` it says "at least
as good".

It measures a model's taste. `apportion grade` asks it side by side, keeps its verdicts, and refuses it where answers
that say nothing do well with it; used by itself it has no such guard.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from router.answering.pairwise import SYSTEM, Preferred, preferred, question, score_of
from router.connections.json_post import PostFailed, check_url, post_json_blocking
from router.errors import ConfigError
from router.verifiers import Case


@dataclass(frozen=True, slots=True)
class Judge:
    """A model behind an OpenAI-compatible server, asked at temperature 0."""

    url: str = ""  # http://HOST:PORT, with or without /v1
    model: str = ""
    api_key_env: str = ""  # the environment variable that holds the key
    max_tokens: int = 16  # of a verdict; a model that thinks needs more
    timeout_s: float = 120.0  # of a verdict
    tie: float = 0.5  # what a tie is worth, [0, 1]
    # where it is a backend of router.toml instead (`apportion grade` only): its name, and the file
    backend: str = ""
    config: str = "router.toml"

    answer_kind: ClassVar[str] = "exact"
    needs: ClassVar[str] = "references"

    def __post_init__(self) -> None:
        if self.url:
            check_url("judge", self.url)
        if not 0 <= self.tie <= 1:
            raise ConfigError(f"judge: tie must be in [0, 1], got {self.tie}")
        if self.max_tokens < 1:
            raise ConfigError(f"judge: max_tokens must be at least 1, got {self.max_tokens}")
        if not 0 < self.timeout_s <= 3600:
            raise ConfigError(f"judge: timeout_s must be in (0, 3600], got {self.timeout_s}")

    def grade(self, case: Case, answer: str | None) -> float | None:
        if not self.url or not self.model or not case.references:
            return None
        if answer is None:
            return 0.0
        reference = case.references[0]
        if answer == reference:
            return self.tie
        try:
            said = [self._asked(case.query, *pair) for pair in ((answer, reference), (reference, answer))]
        except PostFailed:
            return None
        return None if said[0] is None or said[1] is None else score_of(said[0], said[1], self.tie)

    def _asked(self, query: str, first: str, second: str) -> Preferred | None:
        body = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": question(query, first, second)},
            ],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        url = f"{self.url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"
        key = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        return preferred(_text(post_json_blocking(url, body, token=key, timeout_s=self.timeout_s)))


def _text(reply: Any) -> str:
    try:
        text = reply["choices"][0]["message"]["content"]
    except (LookupError, TypeError) as error:
        raise PostFailed(f"not an OpenAI-compatible answer: {str(reply)[:80]!r}") from error
    return text if isinstance(text, str) else ""
