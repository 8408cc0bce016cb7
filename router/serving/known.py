"""What callers may name, and what they are told of the backends: from the service to the doors."""

from __future__ import annotations

from typing import Protocol

from router.advising.advisor import Engine
from router.allocator import Allocator
from router.checks.queries import Known
from router.config import Config


class Configured(Protocol):
    """A service, as far as names go."""

    @property
    def allocator(self) -> Allocator:
        """Answers queries."""
        ...

    @property
    def config(self) -> Config:
        """What it was built from."""
        ...


def known_names(service: Configured) -> Known:
    """What callers may name."""
    books, config = service.allocator.books, service.config
    return Known(
        plans=frozenset(plan.name for plan in books.chooser.menu.plans),
        backends=frozenset(service.allocator.backends),
        verifiers=frozenset(books.verifiers),
        extra=frozenset(key for backend in config.backends.values() for key in backend.extra_allowed),
        max_prompt_chars=config.server.max_prompt_chars,
    )


def engines(config: Config) -> dict[str, Engine]:
    """What callers who draw themselves are told of each backend."""
    return {name: Engine(section.model, section.gpu_share) for name, section in config.backends.items()}
