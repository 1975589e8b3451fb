"""Whose failure something was, and what that means for the instance's breaker, the service's, and the next choice."""

from __future__ import annotations

from ttagw.attempt.service import Instance, Service
from ttagw.core.balance import EQUAL
from ttagw.errors import CircuitOpenError

FAILED = 2 * EQUAL
"""Seconds that a failure counts as for the chooser, at the least: what is less makes no difference to it."""
DEAREST = 600.0
"""And at the most."""


def instance_failed(instance: Instance, place: int, reason: str, seconds: float, now: float) -> None:
    """A try failed after so many seconds; `place` is the ticket that its breaker gave for it."""
    instance.bad += 1
    instance.refused[reason] = instance.refused.get(reason, 0) + 1
    instance.breaker.failure(place, seconds, now)


def look_slower(service: Service, instance: Instance, seconds: float, now: float) -> None:
    """An instance that fails, here after so many seconds, must look slower than most that answer, however soon it does.

    But not by much: how often it may fail before it is left out is for its breaker to say, and sooner is better. What
    counts is what answers took, not what failures were made to look like: that would grow with each of them.
    """
    others = sorted([each.took for each in service.instances if each is not instance])
    usual = others[len(others) // 2] if others else 0.0
    service.chooser.observe(instance, min(max(seconds, FAILED, instance.took, 1.5 * usual), DEAREST), now)


def exchange_failed(
    service: Service, ticket: int, instance: Instance | None, tried: tuple[Instance, ...], seconds: float, now: float
) -> None:
    """An exchange failed, last at `instance`; `tried` are those before.

    As long as all that fail were given to one and the same instance, while there are others that nothing speaks
    against, that is the instance's failure and not the service's: or one of many would take the others away with it.
    """
    before, service.culprit = service.culprit, instance
    if before in (None, instance) and any(
        not each.guarded and each is not instance and each not in tried for each in service.rotation
    ):
        service.breaker.forget(ticket)
    else:
        service.breaker.failure(ticket, seconds, now)


def circuit_open(service: Service, now: float) -> CircuitOpenError:
    """What to say while the service is left alone."""
    breaker = service.breaker
    seconds = max(1, int(breaker.wait(now) + 0.999))
    return CircuitOpenError("circuit_open", retry_after=seconds, more={"state": breaker.state.value})
