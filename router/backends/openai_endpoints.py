"""The urls of one backend: which to ask next, and what each was seen to understand."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import structlog

# after a failure a url is asked last for so long; doubled with each further one
REST_S, LONGEST_REST_S = 5.0, 60.0
TOLD = 300  # characters of what a server said, in the log and in the status
SLACK = 4  # requests: a session's own url may have so many more than another, and is asked all the same

STREAM_OPTIONS: tuple[dict[str, bool] | None, ...] = (
    None,
    {"include_usage": True},
    # vLLM: usage on every chunk, so that cuts are exact
    {
        "include_usage": True,
        "continuous_usage_stats": True,
    },
)


@dataclass(slots=True)
class Endpoint:
    """One server, and a breaker before it. `options` indexes STREAM_OPTIONS and only ever goes down, until `confirmed`.

    After a failure it rests, and longer where it fails again after that; what else fails while it rests was under way
    when it broke, or had no other server. After its rest one request at a time tries it, until one succeeds.
    """

    url: str
    in_flight: int = 0
    asked: int = 0
    failures: int = 0  # since the last success, those of one rest as one
    why: str = ""  # what the last failure was
    resting_until: float = 0.0
    options: int = len(STREAM_OPTIONS) - 1
    confirmed: bool = False
    counts: bool = False  # usage came with every piece: tokens are known, however many a piece has
    takes_interval: bool | None = None  # whether it takes `stream_interval`; None: nobody tried
    silent_s: float = 0.0  # while requests waited that were cut before anything came, since anything came
    _silent_until: float = 0.0  # so far that time is counted

    def heard(self) -> None:
        """A request began to be answered."""
        self.silent_s = 0.0

    def left(self, asked_at: float, now: float, most_s: float) -> None:
        """A request was cut before anything of its answer came; where it is silent for `most_s` altogether, it failed.

        Each by itself says nothing: another server was faster, or the caller in a hurry.
        """
        self.silent_s += max(0.0, now - max(asked_at, self._silent_until))
        self._silent_until = now
        if self.silent_s >= most_s:
            self.failed(now, f"no token in {most_s:g} s of requests that were cut")

    def failed(self, now: float, why: str = "") -> None:
        """It could not be reached, said nothing in time, or something that is not the protocol."""
        self.why = why[:TOLD]
        if not self.failures:
            structlog.get_logger("router.backends").warning(
                "a model server fails", url=self.url, why=self.why
            )
        if now < self.resting_until:
            return
        self.failures += 1
        self.resting_until = now + min(LONGEST_REST_S, REST_S * 2.0 ** (self.failures - 1))

    def worked(self) -> None:
        """A request came to its end."""
        if self.failures:
            log = structlog.get_logger("router.backends")
            log.info("a model server answers again", url=self.url, failures=self.failures)
        self.failures, self.resting_until, self.silent_s = 0, 0.0, 0.0

    def open(self, now: float) -> bool:
        """Whether others should be asked first: it rests, or is being tried after a rest."""
        return self.resting_until > now or (self.failures > 0 and self.in_flight > 0)


@dataclass(slots=True)
class Endpoints:
    """Picks the url with least in flight, of equals the one asked least often; urls that failed lately come last.

    The requests of a session go to the url that has its prompts cached, while that has at most `SLACK` more in flight
    than the least busy one: then the lost cache is the smaller loss. Where an url leaves or comes back only the
    sessions that belong to it move (rendezvous hashing, Thaler & Ravishankar 1998).
    """

    members: tuple[Endpoint, ...]

    @classmethod
    def of(cls, urls: Collection[str]) -> Endpoints:
        """Endpoints for urls without the trailing /v1."""
        return cls(tuple(Endpoint(url.rstrip("/").removesuffix("/v1")) for url in urls))

    @property
    def trouble(self) -> str:
        """What is wrong with those whose last request failed; "" where nothing is."""
        failing = [member for member in self.members if member.failures]
        if not failing:
            return ""
        return (
            f"{len(failing)} of {len(self.members)} servers failed last: {failing[0].why or failing[0].url}"
        )

    def pick(self, now: float, tried: Collection[str] = (), session: str = "") -> Endpoint | None:
        """The next url that is not in `tried`, or None."""
        left = [member for member in self.members if member.url not in tried]
        best = min(left, key=lambda one: (one.open(now), one.in_flight, one.asked), default=None)
        if best is None or not session or len(left) == 1 or best.open(now):
            return best
        home = max((one for one in left if not one.open(now)), key=lambda one: _drawn(one.url, session))
        return home if home.in_flight <= best.in_flight + SLACK else best


def _drawn(url: str, session: str) -> bytes:
    return hashlib.blake2b(f"{url}\0{session}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
