"""Foreign errors become ours here and nowhere else: aiohttp, msgspec, HTTP statuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import msgspec

from router.backends.openai_chunks import error_kind, error_text
from router.errors import BackendError, BackendGarbled, BackendRefused, BackendTimeout, BackendUnavailable

REFUSED = frozenset({400, 409, 413, 415, 422})  # the request itself; the other 4xx are the operator's to mend
TIMED_OUT = frozenset({408, 504})
KEY_HINT = "is the key in `api_key_env` right?"
HINTS = {401: KEY_HINT, 403: KEY_HINT, 404: "are `urls` and `model` right?"}
_WAY = (  # certificates and proxies: what stands between here and the server
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ClientProxyConnectionError,
)


@contextmanager
def translated(who: str, waiting_for: str = "a reply") -> Iterator[None]:
    """Raise only `BackendError`; `who` names backend and url, `waiting_for` completes "no …"."""
    try:
        yield
    except BackendGarbled as error:
        if str(error).startswith(who):
            raise
        raise BackendGarbled(f"{who}: {error}", f"{who}: {error.wordless}") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise BackendUnavailable(f"{who}: it takes no connection") from error
    except TimeoutError as error:
        raise BackendTimeout(f"{who}: no {waiting_for}") from error
    except _WAY as error:
        raise BackendUnavailable(f"{who}: {_way_text(error)}") from error
    except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
        raise BackendGarbled(f"{who}: not HTTP: {error}", f"{who}: not HTTP") from error
    except (aiohttp.ClientError, OSError) as error:
        raise BackendUnavailable(f"{who}: connection failed: {_connection_text(error)}") from error


def of_status(who: str, status: int, content_type: str, body: bytes) -> BackendError:
    """The error of a reply that is not 200: which kind, with the server's own words."""
    error = _decoded(body)
    said, kind = error_text(error), error_kind(error)
    if "html" in content_type:
        said = "an HTML page"
    hint = HINTS.get(status, "")
    message = f"{who}: HTTP {status}: {said or 'no text'}"
    message = f"{message.rstrip('.')}; {hint}" if hint else message
    wordless = "; ".join(filter(None, (f"{who}: HTTP {status}" + (f" {kind}" if kind else ""), hint)))
    if status in REFUSED:
        return BackendRefused(message, wordless)
    if status in TIMED_OUT:
        return BackendTimeout(message, wordless)
    if status in HINTS or status == 429 or status >= 500:
        return BackendUnavailable(message, wordless)
    return BackendGarbled(message, wordless)


def of_event(who: str, error: Any) -> BackendError:
    """An error that came as an event in the middle of a stream."""
    code = error.get("code") if isinstance(error, dict) else None
    kind = BackendRefused if isinstance(code, int) and code in REFUSED else BackendUnavailable
    told = error_kind(error)
    return kind(
        f"{who}: {error_text(error) or 'an error without text'}",
        f"{who}: an error in the stream" + (f": {told}" if told else ""),
    )


def _connection_text(error: Exception) -> str:
    """What the system says of a connection that was not made, whose address `who` names; else the error's own text."""
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        number = cause.errno or 0  # below 0: of a lookup that failed, which has numbers of its own
        return os.strerror(number) if number > 0 else cause.strerror or str(cause)
    return str(error) or type(error).__name__


def _way_text(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        what = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        return f"its certificate is not trusted: {what}; ca_file names whom to trust"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"no TLS there; is it http://? ({error.strerror or error})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses: HTTP {error.status}: {error.message}"
    return f"the proxy cannot be reached: {error}"


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return body.decode("utf-8", "replace")
