"""What is served: the parts that `assemble` built, as the servers use them."""

from __future__ import annotations

from typing import Protocol

from router.allocator import Allocator
from router.auth.certificates import PortCertificates
from router.auth.guard import Guard
from router.batches.kept import Batches
from router.config import Config
from router.costs.load_watch import LoadWatch
from router.ledger.renewal import Renewal
from router.rollout.rollout import Rollout
from router.shadow import Shadowed, Shadows


class Service(Protocol):
    """Parts, connected."""

    @property
    def allocator(self) -> Allocator:
        """Answers queries."""
        ...

    @property
    def answers(self) -> Allocator | Shadowed:
        """The same, with shadow runs behind it where there are any."""
        ...

    @property
    def shadows(self) -> Shadows | None:
        """What runs in the background; None: nothing does."""
        ...

    @property
    def config(self) -> Config:
        """What it was built from."""
        ...

    @property
    def loads(self) -> LoadWatch:
        """What looks at the load of model servers in the background."""
        ...

    @property
    def renewal(self) -> Renewal | None:
        """What keeps the ledger supplied in the background; None: its store is in this process."""
        ...

    @property
    def guard(self) -> Guard:
        """Who may come in."""
        ...

    @property
    def certificates(self) -> PortCertificates:
        """What its ports show."""
        ...

    @property
    def batches(self) -> Batches:
        """Where batches are kept."""
        ...

    @property
    def rollout(self) -> Rollout:
        """What keeps the replica on the bundles and the mode that all agreed on."""
        ...

    async def close(self) -> None:
        """Commit what is queued, close the store and the backends; no call is running."""
        ...
