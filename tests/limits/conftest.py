from __future__ import annotations

from tests.store.conftest import redis, shared_redis
from tests.twisted_hygiene import _frozen_garbage, failures

__all__ = ["_frozen_garbage", "failures", "redis", "shared_redis"]
