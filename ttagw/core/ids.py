"""Request ids: UUIDs of version 7 (RFC 9562 §5.7), which sort by the time they were made."""

from __future__ import annotations

from collections.abc import Callable

_BLOCK = 4096
_COUNTS = 4096
# The two highest bits of the first hex digit are the variant, 10.
_VARIANT = bytes.maketrans(b"0123456789abcdef", b"89ab89ab89ab89ab")
_TAIL = 17
_HEX = tuple([b"%03x-" % count for count in range(_COUNTS)])


class UUID7:
    """Makes ids of 36 ASCII characters, each greater than the one before, whatever the clock does.

    `clock_ms` gives Unix time in milliseconds, `randbytes` as many unpredictable bytes as asked for. Within a
    millisecond rand_a counts on from a random start (RFC 9562 §6.2, method 1); when it is used up before the clock has
    passed the last id, the timestamp goes on by itself. The other 62 bits are new for every id: none can be guessed.
    """

    __slots__ = ("_clock_ms", "_count", "_ms", "_prefix", "_randbytes", "_tails")

    def __init__(self, clock_ms: Callable[[], int], randbytes: Callable[[int], bytes]) -> None:
        self._clock_ms = clock_ms
        self._randbytes = randbytes
        self._ms = -1
        self._count = 0
        self._prefix = b""
        self._tails: list[bytes] = []

    def next(self) -> bytes:
        """A new id."""
        clock = self._clock_ms
        now = clock()
        count = self._count + 1
        if now > self._ms or count >= _COUNTS:
            count = self._turn(max(now, self._ms + 1))
        self._count = count
        tails = self._tails
        if not tails:
            tails = self._refill()
        return self._prefix + _HEX[count] + tails.pop()

    def _turn(self, ms: int) -> int:
        """Begin a millisecond; the count begins in its lower half, so that at least 2,048 ids fit."""
        self._ms = ms
        self._prefix = b"%08x-%04x-7" % (ms >> 16, ms & 0xFFFF)
        tails = self._tails or self._refill()
        return int(tails.pop()[5:8], 16) & 0x7FF

    def _refill(self) -> list[bytes]:
        """Lay out fresh random bytes as `vxxx-xxxxxxxxxxxx`, many of them."""
        digits = self._randbytes(_BLOCK).hex().encode("ascii")
        tails = bytearray(b"-" * (len(digits) // 16 * _TAIL))
        tails[0::_TAIL] = digits[0::16].translate(_VARIANT)
        for column in range(1, 16):
            tails[column + (column > 3) :: _TAIL] = digits[column::16]
        text = bytes(tails)
        # Taken from the end: the last is the first.
        self._tails = [text[place : place + _TAIL] for place in range(len(text) - _TAIL, -1, -_TAIL)]
        return self._tails
