"""Requests on a limited route, each taken through the layer by a real pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.layers.asking import Asking
from tests.structured import string_list
from ttagw.config.policies import Limit as Settings
from ttagw.core.classes import TrafficClass
from ttagw.core.identity import Identity
from ttagw.layers.limit import Limit, RouteLimits
from ttagw.limits.base import Buckets
from ttagw.limits.live import LiveLimits
from ttagw.limits.local import LocalBuckets
from ttagw.model import Exchange, Reply
from ttagw.testing import Clock

Fields = Sequence[tuple[bytes, bytes]]
Items = dict[str, dict[str, int | str]]


def settings(**keys: Any) -> Settings:
    return Settings.model_validate(keys, context={"file": True})


class Limited:
    """A route with these limits; everything goes by `clock`."""

    def __init__(self, buckets: Buckets | None = None, cost: int = 1, **limits: Mapping[str, Any]) -> None:
        self.clock = Clock()
        self.local = LocalBuckets(self.clock)
        self.limits = LiveLimits({name: settings(**keys) for name, keys in limits.items()})
        self.layer = Limit(
            {"r": RouteLimits(tuple(limits), cost, "s")},
            self.limits,
            buckets or self.local,
            self.local,
            self.local.look if buckets is None else lambda wants: None,
        )

    def ask(
        self,
        user: Identity | None = None,
        client: str = "192.0.2.7",
        rank: TrafficClass = TrafficClass.NORMAL,
        fields: Fields = (),
        credentials: Fields = (),
    ) -> Asking:
        """A request; nobody has answered it yet, unless it was refused."""

        def prepare(made: Exchange) -> None:
            made.client = client
            made.rank = rank
            made.fields = list(fields)
            asked.append(made)

        asked: list[Exchange] = []
        return Asking([self.layer], *credentials, identity=user, prepare=prepare)

    def status(self, *args: Any, **more: Any) -> int:
        """The status of a request; 200 if a service would have been asked, and it is over then."""
        asking = self.ask(*args, **more)
        if asking.status == 0:
            answered(asking)
        asking.pipeline.end(asking.exchange)
        return asking.status

    def statuses(self, count: int, *args: Any, **more: Any) -> list[int]:
        return [self.status(*args, **more) for _ in range(count)]

    def outcomes(self, name: str) -> dict[str, int]:
        return {outcome: count for outcome, count in self.limits.by_name[name].outcomes.items() if count}


def answered(asking: Asking, status: int = 200, fields: Fields = (), reason: str = "") -> Asking:
    """The service has answered."""
    asking.pipeline.answer(asking.exchange, Reply(status, list(fields), b"", reason=reason))
    return asking


def told(asking: Asking, name: bytes = b"ratelimit") -> Items:
    """What a field of the answer says, by item."""
    assert asking.sink.reply is not None
    (value,) = [value for each, value in asking.sink.reply.fields if each == name]
    found = string_list(value)
    assert len({item for item, _ in found}) == len(found)
    return dict(found)


def policy(asking: Asking) -> Items:
    return told(asking, b"ratelimit-policy")


def names(asking: Asking) -> list[bytes]:
    """The fields of the answer."""
    assert asking.sink.reply is not None
    return [name for name, _ in asking.sink.reply.fields]
