"""`apportion collect` reaches a server as the router does: keys, certificates, proxies."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from router.recording import Recording
from training.collect.backend import parse_backend
from training.collect.command import collect_command
from training.errors import TrainingError
from training.openai_samples import Server


@pytest.fixture
def collected(tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`collected("ca_file=…")` draws two samples from a server behind TLS that wants a key."""
    monkeypatch.setenv("THE_KEY", "open sesame")
    monkeypatch.setenv("LOGIN", "me:se@cr:et")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):  # what stands there is not used
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    queries = tmp_path / "q.jsonl"
    queries.write_text(json.dumps({"query": "hello"}) + "\n")

    def collect(*options: str, url: str = tls) -> Recording:
        backend = ",".join((f"s={url}", "max_tokens=20", *options))
        collect_command([backend], queries, tmp_path / "r", samples=2, retries=0)
        time.sleep(0.1)  # the server ends its TLS connections on later turns of its loop
        return Recording.load(tmp_path / "r")

    return collect


def test_key_and_certificate_are_used(collected, certificate: Path) -> None:
    recording = collected("api_key_env=THE_KEY", f"ca_file={certificate}")
    assert len(recording.columns) == 2
    assert recording.meta.extra["collected"]["s"]["model"] == "behind-tls"
    assert "open sesame" not in json.dumps(recording.meta.extra)


def test_a_server_that_nobody_vouches_for_is_refused_at_once(collected) -> None:
    with pytest.raises(
        TrainingError, match=r"its certificate is not trusted: self.signed certificate; ca_file"
    ):
        collected("api_key_env=THE_KEY", "model=behind-tls")


def test_a_server_that_refuses_the_key_is_named(collected, certificate: Path) -> None:
    with pytest.raises(TrainingError, match=r"s \(https://.*: cannot list the models: HTTP 401"):
        collected(f"ca_file={certificate}")


def test_a_proxy_with_a_login_is_gone_through_and_never_sees_the_key(
    collected, certificate: Path, guarded_proxy, tls: str
) -> None:
    way = (f"ca_file={certificate}", f"proxy={guarded_proxy.url}", "proxy_auth_env=LOGIN")
    assert len(collected("api_key_env=THE_KEY", *way).columns) == 2
    assert {head.split()[1] for head in guarded_proxy.heads} == {tls.removeprefix("https://")}
    assert not any("open sesame" in head for head in guarded_proxy.heads)


def test_a_proxy_that_refuses_is_named(collected, certificate: Path, guarded_proxy) -> None:
    with pytest.raises(TrainingError, match=r"gave up after 1 attempts: .*the proxy refuses: HTTP 407"):
        collected("api_key_env=THE_KEY", "model=m", f"ca_file={certificate}", f"proxy={guarded_proxy.url}")


def test_a_way_that_cannot_be_is_refused_before_anything_is_drawn(collected, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(TrainingError, match=r"--backend s: ca_file '.*ca.pem' cannot be used"):
        collected("model=m", f"ca_file={tmp_path / 'ca.pem'}")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ca_file=/no/such.pem", "there is no file '/no/such.pem'"),
        ("proxy=ftp://h:1", "wants http://HOST:PORT or https://HOST:PORT, got 'ftp://h:1'"),
        ("proxy=http://me:secret@h:1", "the url holds a password; name the variable"),
        ("proxy_auth_env=LOGIN", "proxy_auth_env means nothing without proxy"),
        ("proxy=http://h:1,proxy_auth_env=NOBODY", "proxy_auth_env: the environment has no NOBODY"),
    ],
)
def test_options_of_the_way_are_checked(options: str, words: str) -> None:
    with pytest.raises(TrainingError) as refused:
        parse_backend(f"s=http://h,{options}", Server("", "", ""), {"LOGIN": "a:b"})
    assert words in str(refused.value)


def test_a_server_that_is_not_there_is_named_once(collected) -> None:
    nowhere = "http://127.0.0.1:9"
    with pytest.raises(TrainingError, match="Connection refused") as refused:
        collected(url=nowhere)
    assert str(refused.value).count(nowhere) == 1
