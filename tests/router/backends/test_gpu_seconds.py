"""GPU seconds of a sample: its share of the GPUs while it ran, booked once."""

from __future__ import annotations

from router.backends.openai_chunks import WireUsage
from router.backends.openai_receipt import Receipt
from router.domain.usage import Meter, Price


def test_a_sample_that_takes_a_quarter_of_a_gpu_for_eight_seconds_takes_two_gpu_seconds():
    meter, now = Meter(), [0.0]
    receipt = Receipt(meter, "s", 10, 2, gpu_share=0.25, seconds=lambda: now[0])
    now[0] = 3.0
    receipt.book(5, 0)
    now[0] = 8.0
    receipt.read(WireUsage(prompt_tokens=10, completion_tokens=9), last=True)
    receipt.book(7, 0)
    used = meter.by_backend["s"]
    assert (used.gpu_seconds, used.tokens_out, used.samples) == (4.0, 9, 2)
    assert Price(per_gpu_second=500.0).micros(used) == 2000.0


def test_without_a_share_nobody_counts_them():
    meter = Meter()
    Receipt(meter, "s", 10, 1, seconds=lambda: 99.0).book(5, 0)
    assert meter.by_backend["s"].gpu_seconds == 0.0
