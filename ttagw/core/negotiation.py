"""Which of several media types a client would rather have (RFC 9110 §12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 32
"""Media ranges that are looked at; what comes after them is not."""


def preferred(accept: bytes, offers: Sequence[str]) -> str | None:
    """The offer with the highest quality; among equals the one offered first. None if nothing offered is accepted."""
    ranges = [_parse(part) for part in accept.decode("latin-1").lower().split(",", _MOST)[:_MOST]]
    best: str | None = None
    highest = 0.0
    for offer in offers:
        quality = _quality(offer, ranges)
        if quality > highest:
            best, highest = offer, quality
    return best


def _parse(part: str) -> tuple[str, float]:
    media, *params = [piece.strip() for piece in part.split(";")]
    for param in params:
        name, _, value = param.partition("=")
        if name.strip() == "q":
            return media, _weight(value.strip())
    return media, 1.0


def _weight(text: str) -> float:
    """RFC 9110 §12.4.2; what is not a weight counts as refused."""
    whole, _, rest = text.partition(".")
    if whole not in ("0", "1") or len(rest) > 3 or (rest and not (rest.isascii() and rest.isdigit())):
        return 0.0
    return min(float(f"{whole}.{rest or 0}"), 1.0)


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality that the most specific matching range gives."""
    group = offer.partition("/")[0] + "/*"
    found: dict[str, float] = {}
    for media, weight in ranges:
        found.setdefault(media, weight)
    for media in (offer, group, "*/*"):
        if media in found:
            return found[media]
    return 0.0
