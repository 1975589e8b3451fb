from tests.twisted_hygiene import _frozen_garbage, failures

__all__ = ["_frozen_garbage", "failures"]
