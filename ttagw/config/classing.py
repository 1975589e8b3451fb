"""`[classes]`: what only shows when they are looked at beside the rest."""

from __future__ import annotations

from collections.abc import Iterator

from ttagw.config.faults import Finding
from ttagw.config.model import Config


def check(config: Config) -> Iterator[Finding]:
    """What is kept for classes must leave something for the others."""
    if sum([each.reserved for each in config.classes.values()]) >= 1:
        yield ("classes",), "what is reserved adds up to everything: nothing would be left for other classes"
    for name, each in config.classes.items():
        if each.ceiling is not None and each.ceiling < each.reserved:
            yield ("classes", name, "ceiling"), "is less than what is reserved for it"


def notices(config: Config) -> Iterator[Finding]:
    """What is as it should be, and has no effect or one that is easily overlooked."""
    yield from _without_help(config)
    yield from _idle_claims(config)


def _without_help(config: Config) -> Iterator[Finding]:
    """Routes of the class crisis whose services have no safe answer of their own."""
    for index, route in enumerate(config.routes):
        names = [name for name in (route.split or (route.service,)) if name in config.services]
        if route.traffic_class == "crisis" and not any(config.services[name].fallback for name in names):
            first = next(iter(config.fallbacks), "")
            instead = f'the fallback "{first}", the first there is,' if first else "a built-in one for the US"
            yield ("routes", index, "class"), f"has no fallback at its service: {instead} stands in"


def _idle_claims(config: Config) -> Iterator[Finding]:
    """Claims that never say of which class a request is."""
    for name, each in config.classes.items():
        for claim, values in each.claims.items():
            if not config.auth.issuers:
                yield ("classes", name, "claims", claim), "has no effect: without [[auth.issuers]] no token is verified"
            elif not values:
                yield ("classes", name, "claims", claim), "has no effect: no value is listed"
