"""Who is asking, put together: with a real store, and a gateway around it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from prometheus_client.metrics_core import Metric

from tests.test_service import configured
from tests.twisted_hygiene import _frozen_garbage, failures, reactor, until
from ttagw.core.identity import Identity
from ttagw.errors import GatewayError
from ttagw.service import Gateway

__all__ = ["_frozen_garbage", "failures"]


class Cached:
    """Tokens that were verified."""

    def __init__(self, *identities: Identity) -> None:
        self.identities = list(identities)

    def forget(self, forbidden: Any) -> int:
        self.identities = [each for each in self.identities if not forbidden(each)]
        return 1

    def stop(self) -> None:
        """Nothing runs."""

    def metrics(self) -> Iterator[Metric]:
        """Nothing to tell."""
        yield from ()


@pytest_twisted.ensureDeferred
async def test_a_gateway_is_ready_when_it_has_tried_to_learn_who_is_revoked(tmp_path: Path) -> None:
    gateway = Gateway(reactor, configured(tmp_path, 9))
    identity = Identity("token", "u", (), (), token_id="j", issued=time.time())
    with pytest.raises(GatewayError, match="revocations_unknown"):
        gateway.identities._check(identity)
    gateway.privilegedStartService()
    gateway.startService()
    await until(lambda: gateway.readiness().ready)
    assert gateway.identities.loaded
    gateway.identities._check(identity)
    cached = gateway.identities.tokens = Cached(identity)  # type: ignore[assignment]
    await gateway.identities.revocations.revoke("jti", "j")
    assert cached.identities == []  # type: ignore[attr-defined]
    with pytest.raises(GatewayError, match="token_revoked"):
        gateway.identities._check(identity)
    assert any(each.name == "ttagw_revocations" for each in gateway.metrics.collect())
    identities = gateway.identities
    gateway.identities = SimpleNamespace(loaded=False)  # type: ignore[assignment]
    assert not gateway.readiness().ready
    gateway.identities = identities
    await gateway.stopService()
