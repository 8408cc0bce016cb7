"""Right where the user's own service says so.

`POST url {"query": …, "answer": …, "task": …}` (task only where there is one) is answered with `{"score": 0..1}` or
`{"pass": true}`. Whatever else comes, or nothing, means that it cannot judge: the first of these is logged, all are
counted. The answer is the whole text without its thinking: the service knows best how to read it.

Fails where the service is slow: each answer waits for it, in a thread, at most `timeout_s`.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import structlog

from router.connections.json_post import PostFailed, check_url, post_json_blocking
from router.errors import ConfigError
from router.verifiers import REQUIRED, Case


class Failures:
    """How often the service could not judge. Safe in threads."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self, why: str) -> None:
        """Count one; log the first."""
        with self._lock:
            self.count += 1
            first = self.count == 1
        if first:
            structlog.get_logger().warning("the http verifier cannot judge", why=why)


@dataclass(frozen=True)
class Http:
    """One POST per answer: no retries, no redirects."""

    url: str = field(default="", metadata=REQUIRED)  # http:// or https://
    token_env: str = ""  # the environment variable that holds a bearer token
    timeout_s: float = 5.0  # of everything, (0, 600]
    largest: int = 65536  # bytes of its answer

    answer_kind: ClassVar[str] = "exact"
    needs: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.url:
            check_url("http", self.url)
        if not 0 < self.timeout_s <= 600:
            raise ConfigError(f"http: timeout_s must be in (0, 600], got {self.timeout_s}")
        if self.largest < 1:
            raise ConfigError(f"http: largest must be at least 1, got {self.largest}")

    @cached_property
    def failures(self) -> Failures:
        """What could not be judged since this object was built."""
        return Failures()

    def grade(self, case: Case, answer: str | None) -> float | None:
        if not self.url:
            return None
        if answer is None:
            return 0.0
        body = {"query": case.query, "answer": answer} | ({"task": case.task} if case.task else {})
        try:
            return _score(self.url, self._asked(body))
        except PostFailed as error:
            self.failures.add(str(error))
            return None

    def _asked(self, body: dict[str, str]) -> Any:
        token = os.environ.get(self.token_env, "") if self.token_env else ""
        if self.token_env and not token:
            raise PostFailed(f"the environment has no {self.token_env}")
        return post_json_blocking(self.url, body, token=token, timeout_s=self.timeout_s, largest=self.largest)


def _score(url: str, said: Any) -> float:
    if isinstance(said, dict):
        score, passed = said.get("score"), said.get("pass")
        if isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1:
            return float(score)
        if isinstance(passed, bool) and "score" not in said:
            return float(passed)
    raise PostFailed(f'{url}: expected {{"score": 0..1}} or {{"pass": true}}, got {str(said)[:80]!r}')
