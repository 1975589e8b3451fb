"""On the routes of a service with a safe answer nobody is left with a bare error, whatever the gateway has to say."""

from __future__ import annotations

from pathlib import Path

from tests.integration.kit.gateway import service
from tests.integration.kit.glass import REASON, Ward, ask, problem
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import get, once

HELP = {"default_region": "US", "regions": {"US": {"text": "Call or text 988.", "hotline": "988"}}}
SUPPORT = {"text": "Call or text 988.", "hotline": "988", "region": "US"}


def test_who_is_not_let_in_is_offered_help_all_the_same(tmp_path: Path, service_here: Origin) -> None:
    services = {"s": service(service_here.port, fallback="help")}
    most = {"break_glass": {"most": 1}}
    ward = Ward(tmp_path, service_here, services=services, auth=most, sections={"fallbacks": {"help": HELP}})
    with ward.gateway() as gateway:
        expired, good = ward.therapist(iat=1_700_000_000, exp=1_700_000_100), ward.therapist()
        assert ask(gateway, good, "paula", REASON).status == 200
        for token, reasons, status, code in (
            (expired, (), 401, "token_expired"),
            ("nonsense", (), 401, "token_refused"),
            (good, (), 403, "access_refused"),
            (good, ("short",), 400, "break_glass_reason"),
            (good, (REASON,), 429, "break_glass_limit"),
        ):
            answer = ask(gateway, token, "perry", *reasons)
            assert (answer.status, answer.reason) == (status, code.encode())
            assert answer.value(b"x-crisis-support") == b"available"
            assert answer.value(b"x-crisis-hotline") == b"988"
            assert (problem(answer)["code"], problem(answer)["support"]) == (code, SUPPORT)
        # What a service says itself is passed on as it is.
        own = once(gateway.port, get("/players/thea", f"Authorization: Bearer {good}"))
        assert own.status == 200
        assert own.all(b"x-crisis-support") == []
        assert gateway.failures() == []
