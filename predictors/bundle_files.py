"""A bundle as a folder: `card.json` and arrays in `.npz` files, each with its checksum in the card. No pickle.

The folder appears whole or not at all: it is written beside its place and renamed. Reading trusts nothing:
checksums, then shapes; whatever is wrong is a `BundleError` that says what.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.card import BundleCard
from predictors.deciding import Deciding
from predictors.errors import BundleError
from predictors.features import FeatureSpec, Featurizer
from predictors.lengths import Lengths
from predictors.packing import packed, unpacked
from predictors.plan_heads import PlanHeads
from predictors.query_heads import QueryHeads, row_width
from predictors.sample_head import SampleHead

CARD = "card.json"
_STAMP = (1980, 1, 1, 0, 0, 0)  # equal arrays make equal files


def bundle_arrays(bundle: Bundle) -> dict[str, dict[str, NDArray[Any]]]:
    """File name -> its arrays."""
    query = packed({"heads": bundle.query_heads.arrays(), "rho": {"value": bundle.rho}})
    files = {"query.npz": query, "lengths.npz": bundle.lengths.arrays()}
    if bundle.sample_head is not None:
        files["sample.npz"] = bundle.sample_head.arrays()
    if bundle.plan_heads is not None:
        files["plans.npz"] = bundle.plan_heads.arrays()
    deciding = bundle.deciding.arrays()
    if deciding:
        files["deciding.npz"] = deciding
    return files


def fingerprint(bundle: Bundle) -> str:
    """16 hex digits over everything that the predictions depend on: a bundle's version."""
    digest = hashlib.blake2b(
        json.dumps([bundle.card.features, bundle.card.backends, bundle.card.pairs]).encode(), digest_size=8
    )
    for name, arrays in sorted(bundle_arrays(bundle).items()):
        for key, array in sorted(arrays.items()):
            digest.update(f"{name}/{key}/{array.dtype}/{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_place(folder: str | Path) -> None:
    """Raise `BundleError` where a bundle must not be written: what is replaced is thrown away, so only a bundle is."""
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise BundleError(f"{place} is a file: a bundle is a folder")
    if place.is_dir() and any(place.iterdir()) and not (place / CARD).is_file():
        raise BundleError(f"{place} is there and is no bundle, for it has no {CARD}: it is not replaced")


def save_bundle(bundle: Bundle, folder: str | Path) -> BundleCard:
    """Write the folder, in place of a bundle that is there; return the card with its checksums.

    Raises `BundleError` where something else is there.
    """
    place = Path(folder)
    check_place(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        sums = {}
        for name, arrays in bundle_arrays(bundle).items():
            written = _npz(arrays)
            sums[name] = hashlib.sha256(written).hexdigest()
            (draft / name).write_bytes(written)
        card = replace(bundle.card, files=sums)
        (draft / CARD).write_text(json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        draft.chmod(0o755)  # mkdtemp's 0700 would hide it from the service's own user
        if place.is_dir():
            old = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
            place.replace(old)
            draft.replace(place)
            shutil.rmtree(old)
        else:
            draft.replace(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return card


def load_bundle(folder: str | Path, check: Callable[[Path, bytes], None] | None = None) -> Bundle:
    """Read a folder, checksums first. Raises `BundleError` with what differs.

    `check` sees the folder and the bytes of its card before any of it is believed, and raises `BundleError`.
    """
    place = Path(folder)
    try:
        written = (place / CARD).read_bytes()
        if check is not None:
            check(place, written)
        card = BundleCard.from_json(json.loads(written.decode("utf-8")))
    except OSError as error:
        raise BundleError(f"{place / CARD} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError and JSONDecodeError
        raise BundleError(f"{place / CARD} is not JSON: {error}") from error
    if not all(isinstance(text, str) for pair in card.files.items() for text in pair):
        raise BundleError(f"{place / CARD}: files: names and checksums are expected")
    outside = [name for name in card.files if Path(name).name != name]
    if outside:
        raise BundleError(f"{place / CARD} names a file outside of its folder: {outside[0]!r}")
    unreadable = [name for name in card.files if not name.isprintable()]  # a null, half of a surrogate pair
    if unreadable:
        raise BundleError(f"{place / CARD}: no file is named {unreadable[0]!r}")
    files = {name: _arrays(place / name, expected) for name, expected in card.files.items()}
    try:
        return _assembled(card, files)
    except BundleError as error:
        raise BundleError(f"{place}: {error}") from error
    except KeyError as error:
        raise BundleError(
            f"{place}: it has no array {error}; a newer version than this one may have fitted it"
        ) from error
    except (ValueError, TypeError, AttributeError, IndexError, MemoryError) as error:
        raise BundleError(
            f"{place}: its arrays do not fit together: {type(error).__name__}: {error}"
        ) from error


def _assembled(card: BundleCard, files: dict[str, dict[str, NDArray[Any]]]) -> Bundle:
    spec = FeatureSpec(**{**card.spec, "grams": tuple(card.spec["grams"])})
    if spec.fingerprint != card.features:
        raise BundleError(
            f"it was fitted on features {card.features}, this version computes {spec.fingerprint}: fit it again"
        )
    for name in ("query.npz", "lengths.npz"):
        if name not in files:
            raise BundleError(f"card.json names no file {name}")
    width, backends = len(spec.names), len(card.backends)
    names = (
        *(f"p_correct/{backend}" for backend in card.backends),
        *(f"gain/{one}/{other}" for one, other in card.pairs),
    )
    heads = QueryHeads.from_arrays(names, unpacked(files["query.npz"], "heads"), width)
    row = row_width(width, backends, shared=heads.joint is not None)
    rho, lengths = files["query.npz"]["rho/value"], Lengths.from_arrays(files["lengths.npz"])
    if rho.shape != (backends,) or lengths.upper.shape != (backends,) or len(lengths.mean) != row:
        raise BundleError(
            f"rho {rho.shape} and lengths {lengths.coef.shape} do not fit {backends} backends, {row} numbers"
        )
    if heads.hashed.table.shape != (2**spec.bits, 2 * backends + 1):
        raise BundleError(
            f"hashed: {heads.hashed.table.shape} for {2**spec.bits} buckets and {backends} backends"
        )
    sample = SampleHead.from_arrays(card.backends, files["sample.npz"]) if "sample.npz" in files else None
    own = () if sample is None else tuple(sample.own)
    if own != card.own_sample_heads:
        raise BundleError(f"sample.npz has own heads for {own}; the card names {card.own_sample_heads}")
    inputs = 2 * len(names) + backends + row
    plans = None
    if "plans.npz" in files:
        plans = PlanHeads.from_arrays(card.plan_heads, card.plan_samples, files["plans.npz"], inputs)
    deciding = Deciding.from_arrays(card.backends, files.get("deciding.npz", {}))
    return Bundle(card, Featurizer(spec), heads, rho, lengths, sample, plans, deciding)


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in sorted(arrays.items()):
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _STAMP), one.getvalue(), zipfile.ZIP_DEFLATED)
    return held.getvalue()


def _arrays(path: Path, expected: str) -> dict[str, NDArray[Any]]:
    try:
        written = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(written).hexdigest()
    if found != expected:
        raise BundleError(
            f"{path}: checksum mismatch: the card says {expected}, the file ({len(written)} bytes) has {found}"
        )
    try:
        with np.load(io.BytesIO(written), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib, tokenize and numpy each have errors of their own
        raise BundleError(f"{path} is no archive of arrays: {error}") from error
