"""What a route's innermost step is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from ttagw.attempt.attempt import Attempt
from ttagw.attempt.hedge import HedgedAttempt
from ttagw.attempt.service import Service
from ttagw.core.rewrite import Rewrite
from ttagw.model import NO_BODY, Exchange
from ttagw.pipeline import Forward, Pipeline

Pick = Callable[[Exchange], Service]


def forward_to(pick: Pick, rewrite: Rewrite | None, hedge: float = 0.0) -> Forward:
    """The innermost step of a route: one of the services that `pick` gives, at the rewritten path.

    `hedge`: seconds after which a GET without an answer is sent to a second instance as well; 0: never.
    """

    def forward(pipeline: Pipeline, exchange: Exchange) -> None:
        target = exchange.path if rewrite is None else rewrite.apply(exchange.params, exchange.rest)
        Attempt(pipeline, exchange, pick(exchange), target).start()

    def hedged(pipeline: Pipeline, exchange: Exchange) -> None:
        if exchange.method != b"GET" or exchange.body is not NO_BODY:
            forward(pipeline, exchange)
            return
        target = exchange.path if rewrite is None else rewrite.apply(exchange.params, exchange.rest)
        HedgedAttempt(pipeline, exchange, pick(exchange), target, hedge).start()

    return hedged if hedge else forward


def split(shares: Sequence[tuple[Service, int]], salt: str) -> Pick:
    """Divides people between services by weight. Sticky: a user stays where they are as long as the weights do; so does
    the address of those who are not known.

    `salt` (the route's name) keeps two splits independent of each other.
    """
    total = sum([weight for _, weight in shares])
    key = salt.encode()

    def pick(exchange: Exchange) -> Service:
        who = exchange.client if exchange.identity is None else exchange.identity.user
        digest = blake2b(who.encode(), key=key[:64], digest_size=8).digest()
        place = int.from_bytes(digest, "big") % total
        for service, weight in shares:
            if place < weight:
                return service
            place -= weight
        raise AssertionError("weights do not add up")

    return pick
