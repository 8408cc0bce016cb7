"""Every importer in the table: built with no arguments, clear errors for sources that are not its own."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest

from router.plugins import resolve
from training.errors import TrainingError
from training.importers import IMPORTERS, Importer


@pytest.fixture(params=sorted(IMPORTERS))
def importer(request):
    return resolve("importer", IMPORTERS, request.param)()


def test_it_keeps_the_contract(importer):
    assert isinstance(importer, Importer)


def test_it_is_a_frozen_dataclass(importer):
    assert replace(importer) == importer
    assert is_dataclass(importer)
    for item in fields(importer):
        with pytest.raises(FrozenInstanceError):
            setattr(importer, item.name, getattr(importer, item.name))


def test_a_source_that_is_not_there_is_named(importer, tmp_path):
    with pytest.raises(TrainingError, match="nowhere"):
        importer.read(tmp_path / "nowhere")


def test_an_empty_folder_is_an_error(importer, tmp_path):
    with pytest.raises(TrainingError, match=str(tmp_path)):
        importer.read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00broken", b"{]\n", b"null\n", b'[1, 2]\n"x"\n', b"a,b\n1,2,3\n"]
)
def test_a_file_of_something_else_is_an_error(importer, tmp_path, content):
    source = tmp_path / "source"
    source.write_bytes(content)
    with pytest.raises(TrainingError):
        importer.read(source)
