"""The timeout of a route counts from the first byte of a request, whatever else has to be waited for."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.issuer import Publisher
from tests.integration.kit.operated import make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import get, once
from tests.issuing import Signer, claims

KEY = Signer("RS256", "slow")
ROUTES = [route("/p/*", name="p", auth="required", timeout="1s")]
SLOW = {"response_timeout": "10s", "idle_timeout": "10s"}


def test_a_caller_who_had_to_be_looked_up_does_not_wait_longer(tmp_path: Path, service_here: Origin) -> None:
    service_here.on(b"/p/7", lambda talk, request: time.sleep(4))
    key = make_key(tmp_path, "nightly", ["service"])
    services = {"s": service(service_here.port)}
    with Gateway(tmp_path, services, ROUTES, auth=key.section, upstream=SLOW) as running:
        began = time.monotonic()
        answer = once(running.port, get("/p/7", f"X-API-Key: {key.text}"))
        took = time.monotonic() - began
        assert (answer.status, running.line(answer.id)["reason"]) == (504, "route_timeout")
        assert 0.9 < took < 3.5


def test_keys_of_an_issuer_are_not_waited_for_longer(tmp_path: Path, service_here: Origin) -> None:
    with Publisher(KEY) as publisher:
        publisher.behaviour = lambda talk, request: time.sleep(4)
        auth = {"issuers": [publisher.section()]}
        with Gateway(tmp_path, {"s": service(service_here.port)}, ROUTES, auth=auth, upstream=SLOW) as running:
            token = KEY.token(claims(time.time())).decode()
            began = time.monotonic()
            answer = once(running.port, get("/p/7", f"Authorization: Bearer {token}"))
            took = time.monotonic() - began
            assert (answer.status, running.line(answer.id)["reason"]) == (504, "route_timeout")
            assert 0.9 < took < 3.5
