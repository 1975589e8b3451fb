"""What the admin API takes and gives about limits, in the units of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from pydantic import Field, ValidationError

from ttagw.config.base import Listing, Section
from ttagw.config.faults import name_of, one_line
from ttagw.config.gateway import MANY
from ttagw.config.policies import Limit
from ttagw.config.units import BytesRate, Rate, write_bytes_rate, write_rate
from ttagw.config.validation import findings_of
from ttagw.errors import InvalidDocumentError

MOST_TEXT = 4096
"""Characters of a key, at the most."""


class LimitDocument(Section):
    """What of a limit is to be another than the configuration says; null takes something away."""

    rate: Rate | None = None
    burst: int | None = Field(default=None, ge=1, le=MANY)
    concurrent: int | None = Field(default=None, ge=1, le=MANY)
    bandwidth: BytesRate | None = None
    on_store_failure: Literal["local", "deny", "allow"] = "local"
    dry_run: bool = False

    def applied(self, configured: Limit) -> Limit:
        """The limit with this. Raises `InvalidDocumentError` where that makes no sense."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        said = {name: getattr(configured, name) for name in configured.model_fields_set}
        try:
            return Limit.model_validate({**said, **given})
        except ValidationError as error:
            faults = [(name_of(key), one_line(sentence)) for key, sentence in findings_of(error)]
            raise InvalidDocumentError(errors=faults) from None


class ForgivenDocument(Section):
    """Whose use is to be forgotten: one of these."""

    user: str | None = Field(default=None, min_length=1, max_length=MOST_TEXT)
    ip: str | None = Field(default=None, min_length=1, max_length=MOST_TEXT)
    key: Listing[str | None] | None = Field(default=None, max_length=16)
    """A value for each part of the limit's `key`, in that order."""

    def one(self) -> None:
        """Raises `InvalidDocumentError` unless exactly one is given."""
        if sum([each is not None for each in (self.user, self.ip, self.key)]) != 1:
            raise InvalidDocumentError(errors=[("", "expected exactly one of user, ip and key")])


class Change(Section):
    """What is stored of a change."""

    terms: LimitDocument
    by: str
    """The name of the key with which it was made."""

    @staticmethod
    def encode(terms: object, by: str) -> bytes:
        """As it is stored; `terms` is the document as it came."""
        return msgspec.json.encode({"terms": terms, "by": by})

    @staticmethod
    def decode(raw: bytes) -> Change:
        """Raises `ValueError`."""
        return Change.model_validate(msgspec.json.decode(raw), context={"file": True})


def written(limit: Limit) -> dict[str, Any]:
    """A limit as it stands in the configuration."""
    return {
        "rate": limit.rate and write_rate(limit.rate),
        "burst": limit.burst if limit.burst is not None else limit.rate and limit.rate.count,
        "concurrent": limit.concurrent,
        "bandwidth": limit.bandwidth and write_bytes_rate(limit.bandwidth),
        "key": list(limit.key),
        "roles": dict(limit.roles),
        "classes": {str(name): multiple for name, multiple in limit.classes.items()},
        "on_store_failure": limit.on_store_failure,
        "dry_run": limit.dry_run,
    }


def costs_too_much(limit: Limit, costs: Mapping[str, int]) -> list[tuple[str, str]]:
    """The faults of a limit that lets no request of a route through; `costs` by name of the route."""
    if limit.rate is None:
        return []
    burst = limit.burst or limit.rate.count
    return [
        ("burst", f'expected {cost} or more: a request of the route "{route}" counts as {cost}')
        for route, cost in costs.items()
        if cost > burst
    ]
