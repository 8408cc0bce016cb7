"""What a collection still has to draw, and how the journal keeps a drawn sample."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from training.collect.journal import Journal, Key, text_mark
from training.collect.queries import CollectedQuery
from training.openai_reply import Reply
from training.openai_samples import Server
from training.tentative import check_point_rows


@dataclass(frozen=True, slots=True)
class Item:
    """One sample that is missing, or one that is there and has check-points to be looked at."""

    query: CollectedQuery
    server: Server
    sample_idx: int
    drawn: bool = False
    looks: int = 0  # at most

    @property
    def key(self) -> Key:
        """What it is in the journal."""
        return self.query.query_id, self.server.name, self.sample_idx

    @property
    def requests(self) -> int:
        """At most, retries not counted."""
        return self.looks + (not self.drawn)


def sample_seed(seed: int, query_id: str, backend: str, sample_idx: int) -> int:
    """The seed of one sample, 0 .. 2**31-1: of what it is, not of when it is drawn."""
    key = f"{seed}/{query_id}/{backend}/{sample_idx}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=4).digest(), "little") >> 1


def missing(
    queries: Sequence[CollectedQuery], server: Server, samples: int, journal: Journal
) -> Iterator[Item]:
    """What the journal does not have yet for one backend, query by query."""
    most = len(server.check_points.before(server.max_tokens))
    for query in queries:
        for sample_idx in range(samples):
            key = (query.query_id, server.name, sample_idx)
            if key not in journal.done:
                yield Item(query, server, sample_idx, looks=most)
            elif key in journal.growing:
                yield Item(query, server, sample_idx, drawn=True, looks=len(journal.not_looked_at(key)))


def journal_row(item: Item, seed: int, reply: Reply) -> dict[str, Any]:
    """One sample as the journal keeps it."""
    params = item.server.params() | {"seed": seed}
    growth = {"growth": check_point_rows(item.server, reply)} if item.server.check_points else {}
    return growth | {
        "query_id": item.query.query_id,
        "backend": item.server.name,
        "sample_idx": item.sample_idx,
        "mark": text_mark(item.query.query),
        "text": reply.text,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "first_token_s": reply.first_token_s,
        "latency_s": reply.latency_s,
        "finish_reason": reply.finish_reason,
        "mean_logprob": reply.mean_logprob,
        "first_entropy": reply.first_entropy,
        "params": json.dumps(params, sort_keys=True),
    }
