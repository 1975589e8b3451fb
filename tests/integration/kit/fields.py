"""Header fields, as either side has read them."""

from __future__ import annotations

from collections.abc import Sequence


class HasFields:
    """Something with header fields in their order."""

    fields: Sequence[tuple[bytes, bytes]]

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order."""
        return [value for each, value in self.fields if each.lower() == name]

    def value(self, name: bytes) -> bytes:
        """The one value of a field; b"" without it."""
        values = self.all(name)
        assert len(values) < 2, f"{name!r} comes {len(values)} times"
        return values[0] if values else b""
