"""`[abuse]`: what only shows when its keys are looked at together, and beside others."""

from __future__ import annotations

from collections.abc import Iterator

from ttagw.config.faults import Finding
from ttagw.config.model import Config
from ttagw.core.networks import Network, written


def check(config: Config) -> Iterator[Finding]:
    """Lists that shut everybody out or contradict others, and a first block that is longer than any."""
    abuse = config.abuse
    if abuse.block_for > abuse.longest:
        yield (("abuse", "longest"), "is shorter than block_for, which is how long the first block lasts")
    for index, denied in enumerate(abuse.deny):
        place = ("abuse", "deny", index)
        if not denied.prefixlen:
            yield place, "refuses everybody"
        elif denied in abuse.allow:
            yield place, "is in allow as well, and cannot be both"
        for trusted in config.gateway.trusted_proxies:
            if denied.prefixlen and _overlap(denied, trusted):
                yield place, f"overlaps {written(trusted)} of gateway.trusted_proxies, which is never refused"


def notices(config: Config) -> Iterator[Finding]:
    """Networks of which one list says one thing and the other list the opposite of a part."""
    abuse = config.abuse
    for index, denied in enumerate(abuse.deny):
        for allowed in abuse.allow:
            if denied != allowed and _overlap(denied, allowed):
                inner, outer = (allowed, "allowed") if allowed.prefixlen > denied.prefixlen else (denied, "denied")
                around = denied if inner is allowed else allowed
                text = f"overlaps {written(allowed)} of allow: the narrower one decides, so {written(inner)} is {outer}"
                yield ("abuse", "deny", index), f"{text} and the rest of {written(around)} is not"


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
