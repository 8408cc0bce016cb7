"""What a probe on chosen pieces of one backend's hidden states says: logistic regression and a small net, calibrated.

The regression reads the whole standardised state, the net its main directions (`hidden_probe`); their blend is found
on held-out queries, with the base rate as a member, so that states that say nothing say the base rate. When it fails:
another model, layer or part than it was fitted on; it then says nothing at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import Curve
from predictors.errors import BundleError
from predictors.hidden_pieces import as_json, picked, read_pieces
from predictors.hidden_probe import HiddenProbe
from predictors.observation import Piece
from predictors.packing import packed, unpacked
from predictors.small_net import SmallNet

Floats = NDArray[np.float64]
MEMBERS = ("base", "linear", "net")


@dataclass(frozen=True, slots=True)
class StateProbe:
    """One backend's, for one question."""

    pieces: tuple[Piece, ...]  # that it reads; (): all of a vector of its width
    base: float  # mean target
    blend: Floats = field(compare=False)  # (3,): weights of `MEMBERS`
    probe: HiddenProbe = field(compare=False)
    net: SmallNet = field(compare=False)
    curve: Curve = field(compare=False)

    @property
    def width(self) -> int:
        """Numbers of one state."""
        return len(self.probe.mean)

    def many(self, x: NDArray[np.float32]) -> Floats:
        """The calibrated probability of each state (n, width)."""
        return np.asarray(self.curve(self.members(x) @ self.blend), dtype=np.float64)

    def members(self, x: NDArray[np.float32]) -> Floats:
        """What the members say, (n, 3)."""
        linear, net = self.probe.predict(x), self.net.predict(self.probe.inside(x))
        return np.stack([np.full(len(x), self.base), linear, net], axis=1)

    def one(self, vector: Any, have: Sequence[Piece]) -> float | None:
        """The same for one sample's vector; None where it is not made of what was fitted."""
        want = self.pieces or (Piece("", 0, len(self.probe.mean)),)
        state = picked(vector, have if self.pieces else (), want)
        return None if state is None else float(self.many(state[None])[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        pieces = json.dumps(as_json(self.pieces)).encode()
        plain = {
            "base": np.array([self.base]),
            "blend": self.blend,
            "pieces": np.frombuffer(pieces, np.uint8),
        }
        return packed(
            {
                "plain": plain,
                "probe": self.probe.arrays(),
                "net": self.net.arrays(),
                "curve": self.curve.arrays(),
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        plain = unpacked(arrays, "plain")
        probe = HiddenProbe.from_arrays(unpacked(arrays, "probe"))
        net = SmallNet.from_arrays(unpacked(arrays, "net"))
        try:
            pieces = read_pieces(json.loads(plain["pieces"].astype(np.uint8).tobytes()))
        except (KeyError, ValueError) as error:
            raise BundleError(f"state probe: its pieces cannot be read: {error}") from error
        widths = sum(piece.width for piece in pieces), len(probe.mean), probe.basis.shape[1], len(net.mean)
        if (pieces and widths[0] != widths[1]) or widths[2] != widths[3] or plain["blend"].shape != (3,):
            raise BundleError(f"state probe: widths {widths} do not fit together")
        curve = Curve.from_arrays(unpacked(arrays, "curve"))
        return cls(pieces, float(plain["base"][0]), plain["blend"], probe, net, curve)
