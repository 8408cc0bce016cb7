from __future__ import annotations

from router.random_ids import RandomIds


def test_ids_are_32_hex_digits_and_differ():
    ids = RandomIds()
    found = [ids() for _ in range(2000)]  # many pages
    assert len(set(found)) == len(found)
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in found)


def test_the_system_is_asked_once_for_many_and_no_byte_is_used_twice():
    asked = []

    def draw(size):
        asked.append(size)
        return bytes(range(256)) * (size // 256)

    ids = RandomIds(draw)
    first = [ids.digits(16) for _ in range(16)]
    assert asked == [4096]
    assert "".join(first) == bytes(range(256)).hex()


def test_what_is_left_of_a_page_and_too_short_is_passed_over():
    pages = iter([b"\x01" * 4096, b"\x02" * 4096])
    ids = RandomIds(lambda size: next(pages))
    assert ids.digits(4090) == "01" * 4090
    assert ids.digits(10) == "02" * 10
