"""What a bundle says about itself: what it was fitted on, how good it was on held-out queries, what its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from predictors.errors import BundleError

FORMAT = 3  # of the folder: raise it when files change their meaning
_BEFORE = 2  # the same without heads of single backends over samples: still read


@dataclass(frozen=True, slots=True)
class BundleCard:
    """`card.json`."""

    version: str  # 16 hex digits over what was learned
    created: str  # ISO 8601, UTC; "" where nobody said
    features: str  # fingerprint of the feature spec
    spec: Mapping[str, Any]  # fields of the feature spec
    backends: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (A, B) of the gain heads; none where backends share trees
    plans: Mapping[str, str] = field(default_factory=dict)  # plan name -> digest
    plan_heads: tuple[str, ...] = ()  # plans whose reward is predicted by a head of their own
    plan_samples: tuple[str, ...] = ()  # signal names of the plan heads' second part
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # information only
    counts: Mapping[str, float] = field(default_factory=dict)  # rows used, rows skipped and why
    metrics: Mapping[str, float] = field(default_factory=dict)  # on held-out folds: <what>/<head>
    rho_from_prior: tuple[str, ...] = ()  # backends of which only one sample per query was seen
    own_sample_heads: tuple[str, ...] = ()  # backends whose samples are judged by a head of their own
    seed: int = 0
    format: int = FORMAT
    files: Mapping[str, str] = field(default_factory=dict)  # file name -> SHA-256

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Any) -> Self:
        """Raises `BundleError` for another format, and naming the keys that are missing or unknown.

        The format before, which knew no heads of single backends, is read as one that has none.
        """
        if not isinstance(written, dict):
            raise BundleError(f"card.json holds {type(written).__name__}; an object is expected")
        if written.get("format") not in (_BEFORE, FORMAT):
            raise BundleError(
                f"card.json has format {written.get('format')!r}; this version reads {_BEFORE} and {FORMAT}"
            )
        if written["format"] == _BEFORE:
            written = {"own_sample_heads": [], **written, "format": FORMAT}
        known = set(cls.__dataclass_fields__)
        if set(written) != known:
            odd = ", ".join(sorted(set(written) ^ known))
            raise BundleError(f"card.json: missing or unknown keys: {odd}")
        if not isinstance(written["files"], dict):
            raise BundleError("card.json: files: an object of names and checksums is expected")
        try:
            return cls(
                **written
                | {
                    "backends": tuple(written["backends"]),
                    "pairs": tuple((one, other) for one, other in written["pairs"]),
                    "plan_heads": tuple(written["plan_heads"]),
                    "plan_samples": tuple(written["plan_samples"]),
                    "rho_from_prior": tuple(written["rho_from_prior"]),
                    "own_sample_heads": tuple(written["own_sample_heads"]),
                }
            )
        except (TypeError, ValueError) as error:
            raise BundleError(f"card.json: {error}") from error
