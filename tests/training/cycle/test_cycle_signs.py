"""Candidates of a cycle are signed where it is given a key, so that services with `bundle_signers` take them."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from predictors.errors import BundleError
from router.errors import ConfigError, StoreError
from router.rollout.shelf import Shelf
from router.rollout.signature import Signers
from training.cycle.run import Wishes, run_cycle
from training.cycle_command import cycle

pytestmark = pytest.mark.timeout(600)  # a fit and a gate, on a machine that others use


def keys(folder: Path) -> tuple[Path, Path]:
    """A private and a public key, as the documentation says to make them."""
    private, public = folder / "signer.key", folder / "signers.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def clock() -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: 2e9 + next(ticks)


def test_what_a_cycle_with_a_key_promotes_is_loaded_where_signatures_are_wanted(place, tmp_path):
    private, public = keys(tmp_path)
    run_cycle(place, Wishes(least_new=50, spend_growth=10.0, signing_key=private), clock())
    wary = Shelf(place.shelf.folder, Signers(public))
    assert wary.load(wary.releases().active).version == wary.releases().active


def test_what_a_cycle_without_a_key_promotes_is_refused_there(place, tmp_path):
    _, public = keys(tmp_path)
    run_cycle(place, Wishes(least_new=50, spend_growth=10.0), clock())
    wary = Shelf(place.shelf.folder, Signers(public))
    with pytest.raises(BundleError, match="is not signed"):
        wary.load(wary.releases().active)


def test_a_key_that_cannot_be_read_ends_the_cycle_before_anything_is_promoted(place, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.key: cannot be read"):
        run_cycle(place, Wishes(least_new=50, spend_growth=10.0, signing_key=tmp_path / "none.key"), clock())
    assert place.shelf.releases().number == 0


def test_the_command_warns_where_signatures_are_wanted_and_it_has_no_key(place, tmp_path, capsys):
    private, public = keys(tmp_path)
    config = place.base / "router.toml"
    config.write_text(f'bundle_signers = "{public}"\n' + config.read_text())
    for key, said in ((None, True), (private, False)):
        with pytest.raises(StoreError, match="there is no such file"):
            cycle(config=config, signing_key=key, store="nowhere.db")
        assert ("without --signing-key" in capsys.readouterr().err) == said
