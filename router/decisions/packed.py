"""A decision as the bytes of its row: what repeats goes by number, maps are numbers in a known order.

Signals, forecasts, latencies and what was measured of samples are kept in single precision, features are deflated
(most are 0); everything else comes back as it was. The columns of the row (decision, tenant, time) are not repeated
here. Bodies of earlier versions, which wrote all names out, are read as well.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from router.decisions.names import Code, Names, Repeated
from router.decisions.rows import to_decision
from router.domain.decision import Decision, Mode, SampleRecord, Status
from router.domain.usage import Usage

MODES, STATUSES = tuple(Mode), tuple(Status)
DEFLATE = 1  # level: features are mostly zeros, more effort gains a byte or two
Numbers: TypeAlias = tuple[Code, bytes]  # names in their order, the numbers
# hexadecimal digits as bytes, what is no such as text; one of both is empty
Text: TypeAlias = tuple[bytes, str]


class PackedSample(msgspec.Struct, array_like=True, gc=False):
    """See `SampleRecord`."""

    sample_id: str
    backend: Code
    stage: int
    index: int
    prefix_tokens: int | None
    finish_reason: Code
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    measures: bytes  # mean_logprob, first_entropy, confidence, latency_s; NaN: none
    answer: str | None
    answer_class: int | None
    text: str | None


class Packed(msgspec.Struct, array_like=True, gc=False):
    """See `Decision`. To add a field, append it with a default."""

    request_id: Text
    replica: Code
    sequence: int
    session_id: str
    mode: int
    policy: Code
    bundle: Code
    price: float
    plan: Code
    digest: Code
    propensity: float | None  # None: the plan's probability
    probabilities: Numbers  # double precision
    digests: Code  # plan, digest, plan, digest, …
    flags: int  # explored 1, usable 2
    unusable_reason: Code
    would_plan: Code
    would_propensity: float | None  # None: 0
    degraded: Code
    signals: Numbers
    features: bytes  # deflated
    samples: list[PackedSample]
    status: int
    stop_reason: Code
    answer: str | None
    answer_text: str | None
    measures: bytes  # confidence, latency_s, first_text_s; NaN: none
    used: Code  # backends
    usage: list[list[float]]
    cost: float
    costs: Numbers | None  # double precision; None: all of the cost is the one backend's
    reserved: int
    charged: int
    prices_since: Code
    query_hash: Text
    query_text: str | None
    metadata: dict[str, str]
    error: str
    forecasts: Numbers  # reward (NaN: none), micro-dollars, …
    infeasible: dict[str, str] = {}


_DECODER = msgspec.msgpack.Decoder(Packed)
_USAGE = (
    "tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "side_calls", "samples", "gpu_seconds",
)  # fmt: skip
_NAN = float("nan")
_QUOTED = re.compile(r"'[^']*'")  # names in sentences


def repeated(row: Decision) -> Iterator[Repeated]:
    """Everything in a row that a store keeps once."""
    yield row.replica
    yield row.policy
    yield row.bundle
    yield row.plan
    yield row.digest
    yield tuple(row.probabilities)
    yield _pairs(row.digests)
    yield row.unusable_reason
    yield row.would_plan
    if not any(map(_says_numbers, row.degraded)):  # times, say, which are others in every row
        yield tuple(row.degraded)
    own = {sample.sample_id for sample in row.samples if sample.sample_id != f"{sample.stage}.{sample.index}"}
    if not own or not any(name.rpartition("/")[2] in own for name in row.signals):  # a caller's ids: as well
        yield tuple(row.signals)
    yield row.stop_reason
    yield tuple(row.usage)
    yield tuple(row.costs)
    yield row.prices_since
    yield tuple(row.forecasts)
    for sample in row.samples:
        yield sample.backend
        yield sample.finish_reason


def _says_numbers(text: str) -> bool:
    return any(map(str.isdigit, _QUOTED.sub("", text)))


def pack(row: Decision, names: Names) -> bytes:
    """The body of a row. Raises what msgspec does for a row that cannot be written."""
    code = names.code
    return msgspec.msgpack.encode(
        Packed(
            _short(row.request_id),
            code(row.replica),
            row.sequence,
            row.session_id,
            MODES.index(row.mode),
            code(row.policy),
            code(row.bundle),
            row.price,
            code(row.plan),
            code(row.digest),
            None if row.propensity == row.probabilities.get(row.plan) else row.propensity,
            (code(tuple(row.probabilities)), array("d", row.probabilities.values()).tobytes()),
            code(_pairs(row.digests)),
            row.explored + 2 * row.usable,
            code(row.unusable_reason),
            code(row.would_plan),
            row.would_propensity or None,
            code(tuple(row.degraded)),
            (code(tuple(row.signals)), array("f", row.signals.values()).tobytes()),
            zlib.compress(row.features, DEFLATE) if row.features else b"",
            [_packed_sample(sample, names) for sample in row.samples],
            STATUSES.index(row.status),
            code(row.stop_reason),
            row.answer,
            row.answer_text,
            _singles(row.confidence, row.latency_s, row.first_text_s),
            code(tuple(row.usage)),
            [[getattr(used, name) for name in _USAGE] for used in row.usage.values()],
            row.cost,
            _costs(row, names),
            row.reserved,
            row.charged,
            code(row.prices_since),
            _short(row.query_hash),
            row.query_text,
            dict(row.metadata),
            row.error,
            (code(tuple(row.forecasts)), array("f", _flat(row.forecasts)).tobytes()),
            dict(row.infeasible),
        )
    )


def is_packed(body: bytes) -> bool:
    """Whether `pack` wrote it, and not `router.decisions.rows.to_bytes`, which writes a map."""
    return body[:1] >= b"\x90" and body[:1] not in (b"\xde", b"\xdf")


def read_packed(body: bytes) -> Packed:
    """A body without its numbers resolved; one of an earlier version is brought into this form."""
    return _DECODER.decode(body if is_packed(body) else pack(to_decision(body), Names(most=0)))


def unpack(decision_id: str, tenant: str, created_at: float, body: bytes, names: Names) -> Decision:
    """The decision of a row. Raises `KeyError` where `names` does not know a number of it, `DecodeError` for no row."""
    if not is_packed(body):
        return to_decision(body)
    try:
        return _decision(decision_id, tenant, created_at, _DECODER.decode(body), names)
    except (zlib.error, IndexError, ValueError, OverflowError) as error:
        raise msgspec.DecodeError(f"no row of a decision: {error}") from error


def _decision(decision_id: str, tenant: str, created_at: float, row: Packed, names: Names) -> Decision:
    text = names.text
    pairs, plan = names.texts(row.digests), text(row.plan)
    probabilities, used = _unpacked(row.probabilities, names, "d"), names.texts(row.used)
    confidence, latency_s, first_text_s = singles(row.measures)
    return Decision(
        decision_id=decision_id,
        request_id=long_text(row.request_id),
        replica=text(row.replica),
        sequence=row.sequence,
        created_at=created_at,
        tenant=tenant,
        session_id=row.session_id,
        mode=MODES[row.mode],
        policy=text(row.policy),
        bundle=text(row.bundle),
        price=row.price,
        plan=plan,
        digest=text(row.digest),
        propensity=probabilities[plan] if row.propensity is None else row.propensity,
        probabilities=probabilities,
        digests=dict(zip(pairs[::2], pairs[1::2], strict=True)),
        explored=bool(row.flags & 1),
        usable=bool(row.flags & 2),
        unusable_reason=text(row.unusable_reason),
        would_plan=text(row.would_plan),
        would_propensity=row.would_propensity or 0.0,
        degraded=tuple(names.texts(row.degraded)),
        signals=_unpacked(row.signals, names, "f"),
        features=zlib.decompress(row.features) if row.features else b"",
        samples=tuple(_sample(sample, names) for sample in row.samples),
        status=STATUSES[row.status],
        stop_reason=text(row.stop_reason),
        answer=row.answer,
        answer_text=row.answer_text,
        confidence=confidence,
        usage={backend: _usage(counts) for backend, counts in zip(used, row.usage, strict=True)},
        cost=row.cost,
        costs={used[0]: row.cost} if row.costs is None else _unpacked(row.costs, names, "d"),
        reserved=row.reserved,
        charged=row.charged,
        prices_since=text(row.prices_since),
        latency_s=latency_s or 0.0,
        first_text_s=first_text_s,
        query_hash=long_text(row.query_hash),
        query_text=row.query_text,
        metadata=row.metadata,
        error=row.error,
        forecasts=_forecasts(row.forecasts, names),
        infeasible=row.infeasible,
    )


def _usage(counts: list[float]) -> Usage:
    tokens_in, cached, out, reasoning, side_calls, samples = map(int, counts[:-1])
    return Usage(tokens_in, cached, out, reasoning, side_calls, samples, counts[-1])


def _pairs(digests: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(text for pair in digests.items() for text in pair)


def _flat(forecasts: Mapping[str, tuple[float | None, float]]) -> Iterator[float]:
    for quality, cost in forecasts.values():
        yield _NAN if quality is None else quality
        yield cost


def _forecasts(packed: Numbers, names: Names) -> dict[str, tuple[float | None, float]]:
    values = array("f", packed[1])
    found = zip(names.texts(packed[0]), values[::2], values[1::2], strict=True)
    return {plan: (None if quality != quality else quality, cost) for plan, quality, cost in found}  # noqa: PLR0124 (NaN)


def _unpacked(packed: Numbers, names: Names, kind: Any) -> dict[str, float]:
    return dict(zip(names.texts(packed[0]), array(kind, packed[1]), strict=True))


def _short(text: str) -> Text:
    try:
        short = bytes.fromhex(text)
    except ValueError:
        return b"", text
    return (short, "") if short.hex() == text else (b"", text)


def long_text(text: Text) -> str:
    """The text that was shortened."""
    return text[1] or text[0].hex()


def _packed_sample(sample: SampleRecord, names: Names) -> PackedSample:
    return PackedSample(
        sample.sample_id,
        names.code(sample.backend),
        sample.stage,
        sample.index,
        sample.prefix_tokens,
        names.code(sample.finish_reason),
        sample.tokens_in,
        sample.tokens_cached,
        sample.tokens_out,
        _singles(sample.mean_logprob, sample.first_entropy, sample.confidence, sample.latency_s),
        sample.answer,
        sample.answer_class,
        sample.text,
    )


def _costs(row: Decision, names: Names) -> Numbers | None:
    if len(row.usage) == 1 and dict(row.costs) == dict.fromkeys(row.usage, row.cost):
        return None
    return names.code(tuple(row.costs)), array("d", row.costs.values()).tobytes()


def _singles(*values: float | None) -> bytes:
    return array("f", [_NAN if value is None else value for value in values]).tobytes()


def singles(packed: bytes) -> list[float | None]:
    """Numbers in single precision; None for those that were none."""
    return [None if value != value else value for value in array("f", packed)]  # noqa: PLR0124 (NaN)


def _sample(packed: PackedSample, names: Names) -> SampleRecord:
    measures = singles(packed.measures)
    return SampleRecord(
        packed.sample_id,
        names.text(packed.backend),
        packed.stage,
        packed.index,
        packed.prefix_tokens,
        names.text(packed.finish_reason),
        packed.tokens_in,
        packed.tokens_cached,
        packed.tokens_out,
        mean_logprob=measures[0],
        first_entropy=measures[1],
        confidence=measures[2],
        latency_s=measures[3],
        answer=packed.answer,
        answer_class=packed.answer_class,
        text=packed.text,
    )
