"""What aiohttp's servers say of connections, in our log: of a request that is no HTTP the caller, never its bytes."""

from __future__ import annotations

import structlog


class HttpLog:
    """Stands for the `logging.Logger` of an aiohttp server, as far as that uses it."""

    def debug(self, message: str, *args: object, exc_info: BaseException | None = None) -> None:
        """Nothing: who speaks TLS or noise to the port is no news."""

    def exception(self, message: str, *args: object, exc_info: BaseException | None = None) -> None:
        """A line. What was refused by its status has an exception that quotes the request, token and prompt."""
        log = structlog.get_logger("router.http")
        status = getattr(exc_info, "code", None)
        if isinstance(status, int):
            log.warning("a request is not HTTP/1.1", peer=", ".join(map(str, args)), status=status)
        else:
            log.error("a connection was given up", said=message, about=args, exc_info=exc_info)
