"""How fast backends are now, where somebody watches them; as configured elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from router.domain.speed import Speed


class LiveSpeeds(Mapping[str, Speed]):
    """A speed by backend. One event loop; whoever watches a backend says when it no longer knows."""

    def __init__(self, configured: Mapping[str, Speed]) -> None:
        self.configured = dict(configured)
        self._now = dict(configured)

    def say(self, backend: str, speed: Speed) -> None:
        """From now on forecasts reckon with this."""
        self._now[backend] = speed

    def forget(self, backend: str) -> None:
        """Back to what was configured."""
        self._now[backend] = self.configured[backend]

    def __getitem__(self, backend: str) -> Speed:
        return self._now[backend]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)
