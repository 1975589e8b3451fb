"""Layer: how much each may use."""

from ttagw.layers.limit.layer import Limit, RouteLimits

__all__ = ["Limit", "RouteLimits"]
