"""The folder of bundles: versions, and a document that is replaced whole."""

from __future__ import annotations

import shutil
import threading

import pytest

from predictors.errors import BundleError
from router.errors import StoreError, UnknownName
from router.rollout.releases import BundleState, Releases
from router.rollout.shelf import Shelf


def test_bundles_are_found_by_their_versions(shelf, three_bundles):
    assert set(shelf.versions()) == {bundle.version for bundle in three_bundles} == set(shelf.cards())
    assert shelf.load(three_bundles[0].version).version == three_bundles[0].version


@pytest.mark.parametrize("name", ["", "nothing", "../bundles", ".."])
def test_what_is_not_here_is_unknown(shelf, name):
    with pytest.raises(
        UnknownName, match=f"a bundle lies in {shelf.folder}, in a folder of its version's name"
    ):
        shelf.load(name)


def test_a_bundle_under_another_version_is_refused(shelf, three_bundles):
    one = three_bundles[0].version
    shutil.copytree(shelf.folder / one, shelf.folder / "0000")
    with pytest.raises(BundleError, match=f"holds version {one}"):
        shelf.load("0000")


def test_an_older_document_does_not_take_the_place_of_a_newer_one(tmp_path):
    shelf = Shelf(tmp_path / "new")
    first = Releases().promoted("a", BundleState.ACTIVE, at=0.0)
    second = first.promoted("b", BundleState.ACTIVE, at=1.0)
    shelf.keep(second)
    shelf.keep(first)
    assert shelf.releases() == second


def test_a_reader_never_sees_half_a_document(tmp_path):
    shelf, found = Shelf(tmp_path), Releases()
    ended = threading.Event()
    broken: list[Exception] = []

    def read():
        while not ended.is_set():
            try:
                shelf.releases()
            except StoreError as error:
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        found = found.promoted(f"v{number}", BundleState.ACTIVE, at=float(number))
        shelf.keep(found)
    ended.set()
    reader.join()
    assert not broken
    assert shelf.releases() == found


def test_a_document_that_is_none_is_told_and_replaced_by_the_next(tmp_path):
    (tmp_path / "releases.json").write_text("{")
    with pytest.raises(StoreError, match=r"releases\.json"):
        Shelf(tmp_path).releases()
    found = Releases().promoted("a", BundleState.ACTIVE, at=0.0)
    Shelf(tmp_path).keep(found)
    assert Shelf(tmp_path).releases() == found
