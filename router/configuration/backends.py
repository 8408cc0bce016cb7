"""Whether the backends of a configuration can be what it says: kinds, servers, recordings, prices, limits."""

from __future__ import annotations

import re
import ssl
from pathlib import Path as File
from urllib.parse import urlsplit

from router.backends import BACKENDS
from router.backends.hidden import HIDDEN_SOURCES
from router.config import BackendConfig, Config
from router.configuration.places import Path
from router.configuration.problems import Problems, key_text, unknown
from router.errors import RouterError

COMPOSED = ("glimpse", "speculative_steps", "draft_then_refine", "search")
# Keys that only some of our kinds read. A kind that is not named here may use every key.
_KEYS_OF_KIND = {
    "vllm": frozenset(
        {"urls", "model", "api", "api_key_env", "extra_allowed", "timeout_s", "first_token_timeout_s"}
        | {"ca_file", "proxy", "proxy_auth_env", "hidden", "hidden_at", "hidden_wait_ms", "growing"}
        | {"hedge_after_s", "load_every_s", "stream_interval"}
    ),
    "recorded": frozenset({"recording", "recorded_as", "pace"}),
    "scripted": frozenset({"script"}),
    **dict.fromkeys(COMPOSED, frozenset({"compose"})),
}
_KEYS_OF_KINDS = frozenset().union(*_KEYS_OF_KIND.values())
_VERSION_PATH = re.compile(r"/v1/?\Z")


def check_backends(config: Config, written: dict[str, set[str]], folder: File, problems: Problems) -> None:
    """Note what is wrong. `written`: the keys of each backend that stand in the file; `folder`: where the file is."""
    if not config.backends and not problems.touch(("backends",)):
        problems.add((), "there are no backends; a table [backends.NAME] says where samples come from")
    for name, backend in config.backends.items():
        path: Path = ("backends", name)
        if not name.strip() or not name.isprintable():
            problems.add(path, f"a backend's name is printable text, got {name!r}")
        if backend.kind not in BACKENDS:
            problems.add((*path, "kind"), unknown("backend kind", backend.kind, BACKENDS))
            continue
        _check_keys(backend, path, written.get(name, set()), problems)
        if backend.kind == "vllm":
            _check_server(backend, path, problems)
            _check_way(backend, path, folder, problems)
            _check_states(backend, path, problems)
        elif backend.kind == "recorded":
            _check_recording(name, backend, path, folder, problems)
        elif backend.kind in COMPOSED:
            _check_composed(config, backend, path, problems)
        elif backend.kind == "scripted" and not backend.script and not problems.touch((*path, "script")):
            problems.add((*path, "script"), "a scripted backend says something: script is empty")
        _check_numbers(backend, path, problems)


def _check_keys(backend: BackendConfig, path: Path, written: set[str], problems: Problems) -> None:
    own = _KEYS_OF_KIND.get(backend.kind)
    if own is None:
        return
    for key in sorted((written & _KEYS_OF_KINDS) - own):
        kinds = [kind for kind, keys in _KEYS_OF_KIND.items() if key in keys]
        problems.add((*path, key), f"means nothing to kind {backend.kind!r}, only to {', '.join(kinds)}")


def _check_server(backend: BackendConfig, path: Path, problems: Problems) -> None:
    if not backend.urls and not problems.touch((*path, "urls")):
        problems.add(path, 'a vllm backend has urls = ["http://HOST:PORT"]')
    if not backend.model and not problems.touch((*path, "model")):
        problems.add(path, 'a vllm backend has model = "…", as the server names it (GET /v1/models)')
    for index, url in enumerate(backend.urls):
        text = _url_problem(url)
        if text:
            problems.add((*path, "urls", index), text)
    if backend.hedge_after_s > 0 and not problems.touch((*path, "hedge_after_s")):
        if len(backend.urls) < 2:
            problems.add((*path, "hedge_after_s"), "a second server is needed: give the backend two urls")
        elif backend.hedge_after_s >= backend.first_token_timeout_s:
            text = f"it is given up after first_token_timeout_s = {backend.first_token_timeout_s:g} anyway"
            problems.add((*path, "hedge_after_s"), text)
    if backend.first_token_timeout_s > backend.timeout_s and not problems.touch(path):
        late, whole = backend.first_token_timeout_s, backend.timeout_s
        key = (*path, "first_token_timeout_s")
        problems.add(
            key, f"{late:g} s for the first token is more than timeout_s = {whole:g} for the whole sample"
        )


def _check_way(backend: BackendConfig, path: Path, folder: File, problems: Problems) -> None:
    """Certificates and proxy: how the server is reached."""
    key: Path = (*path, "ca_file")
    if backend.ca_file and not problems.touch(key):
        if not any(url.startswith("https:") for url in backend.urls) and not problems.touch((*path, "urls")):
            problems.add(key, "is about certificates, and no url begins with https://")
        try:
            ssl.create_default_context(cafile=folder / backend.ca_file)
        except OSError as error:  # ssl.SSLError is one
            what = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            problems.add(key, f"{folder / backend.ca_file}: {what or error}")
    key = (*path, "proxy")
    if backend.proxy and not problems.touch(key):
        text = _address_problem(backend.proxy, "name the variable that holds USER:PASSWORD in proxy_auth_env")
        if text:
            problems.add(key, text)
    if backend.proxy_auth_env and not backend.proxy and not problems.touch(key):
        problems.add((*path, "proxy_auth_env"), 'means nothing without proxy = "http://HOST:PORT"')


def _check_states(backend: BackendConfig, path: Path, problems: Problems) -> None:
    """Where hidden states come from."""
    key: Path = (*path, "hidden")
    if problems.touch(key):
        return
    if not backend.hidden:
        if backend.hidden_at:
            problems.add(
                (*path, "hidden_at"), f"means nothing without hidden = {' or '.join(HIDDEN_SOURCES)}"
            )
        return
    if backend.hidden not in HIDDEN_SOURCES:
        problems.add(key, unknown("source of hidden states", backend.hidden, HIDDEN_SOURCES))
    elif backend.hidden == "connector" and not backend.hidden_at.startswith("/"):
        text = f"is the absolute folder that the server's connector writes to, got {backend.hidden_at!r}"
        problems.add((*path, "hidden_at"), text)
    elif backend.hidden == "pooling" and (text := _address_problem(backend.hidden_at, "leave it out")):
        problems.add((*path, "hidden_at"), text)


def _check_composed(config: Config, backend: BackendConfig, path: Path, problems: Problems) -> None:
    """Two other backends, which are no compositions themselves, and a price that is theirs."""
    if problems.touch((*path, "compose")):
        return
    simple = [name for name, one in config.backends.items() if one.kind not in COMPOSED]
    how, place = backend.compose, (*path, "compose")
    alone = backend.kind == "search" and how.scorer == "logprob" and not how.large
    for key in ("small",) if alone else ("small", "large"):
        name = getattr(how, key)
        if name not in simple:
            problems.add(place, f"{key}: " + unknown("backend to compose", name, simple))
    if backend.kind == "search" and not problems.touch(place):
        _check_search(config, backend, place, problems)
    if backend.price_in or backend.price_out or backend.price_per_gpu_second or backend.prices:
        problems.add(path, f"kind {backend.kind!r} costs what its members charge: leave its prices out")


def _check_search(config: Config, backend: BackendConfig, place: Path, problems: Problems) -> None:
    """Numbers that fit together, and a scorer that can score."""
    how = backend.compose
    if how.beams > how.candidates:
        problems.add(place, f"beams = {how.beams} texts do not go on as candidates = {how.candidates} steps")
    if (
        how.scorer == "logprob"
        and config.backends[how.small].kind == "vllm"
        and not config.backends[how.small].logprobs
    ):
        problems.add(place, f'scorer = "logprob" needs logprobs = true of {how.small!r}')
    if how.scorer == "reward" and config.backends[how.large].kind != "vllm":
        problems.add(place, f'scorer = "reward" needs a vllm backend with urls, got {how.large!r}')


def _url_problem(url: str) -> str:
    text = _address_problem(url, "name the variable that holds the key in api_key_env")
    if not text and _VERSION_PATH.search(urlsplit(url).path):
        return f"leave /v1 out: write {_VERSION_PATH.sub('', url)!r}"
    return text


def _address_problem(url: str, instead: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"{url!r} is no URL: {error}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return f"wants http://HOST:PORT or https://HOST:PORT, got {url!r}"
    if parts.username or parts.password:
        return f"holds a password; {instead}"
    return ""


def _check_recording(name: str, backend: BackendConfig, path: Path, folder: File, problems: Problems) -> None:
    key: Path = (*path, "recording")
    if problems.touch(key):
        return
    if not backend.recording:
        problems.add(path, 'a recorded backend has recording = "FOLDER", relative to this file')
        return
    place = folder / backend.recording
    if not place.is_dir():
        problems.add(key, f"there is no folder {place}")
        return
    from router.recordings.format import read_meta

    try:
        recorded = read_meta(place).prices
    except (RouterError, OSError) as error:
        problems.add(key, str(error))
        return
    wanted = backend.recorded_as or name
    if wanted not in recorded:
        at: Path = (*path, "recorded_as") if backend.recorded_as else path
        hint = "" if backend.recorded_as else "; name it with recorded_as"
        problems.add(at, unknown(f"backend of recording {place.name!r}:", wanted, recorded) + hint)


def _check_numbers(backend: BackendConfig, path: Path, problems: Problems) -> None:
    if problems.touch(path):
        return
    room = backend.context_tokens
    if room is not None and backend.max_tokens > room:
        text = f"{room} tokens do not hold the max_tokens = {backend.max_tokens} of one sample"
        problems.add((*path, "context_tokens"), text)
    cached = backend.price_cached_in
    if cached is not None and cached > backend.price_in:
        text = f"cached input at {cached:g} is dearer than {key_text((*path, 'price_in'))} = {backend.price_in:g}"
        problems.add((*path, "price_cached_in"), text)
