from typing import Self

class Scanner:
    def __new__(
        cls,
        *,
        bits: int,
        grams: tuple[int, ...],
        mix: bytes,
        word_bytes: bytes,
        constants: bytes,
        classes: bytes,
        class_count: int,
        words: tuple[bytes, ...],
        strip: bytes,
    ) -> Self: ...
    def buckets(self, joined: bytes, /) -> bytes: ...
    def scan(
        self,
        shape: list[float],
        chars: int,
        raw: bytes,
        joined: bytes,
        numbers: tuple[int, int, list[float]] | None,
        /,
    ) -> tuple[bytes, bytes]: ...
