from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from ttagw.config.sockets import Fallback as Settings
from ttagw.core.classes import TrafficClass
from ttagw.errors import (
    AccessRefusedError,
    GatewayError,
    LoginPausedError,
    MethodNotAllowedError,
    TokenExpiredError,
    UpstreamUnavailableError,
    catalogue,
)
from ttagw.model import Reply
from ttagw.testing import exchange
from ttagw.web.fallback import Fallback
from ttagw.web.render import TYPE_BASE, render

KINDS = pytest.mark.parametrize("kind", catalogue(), ids=lambda kind: kind.code)
SECRET = b"tell-nobody"


def rendered(error: GatewayError, accept: bytes | None = None) -> tuple[Reply, dict[bytes, bytes]]:
    fields = () if accept is None else ((b"Accept", accept),)
    reply = render(exchange(fields=(*fields, (b"X-Secret", SECRET))), error)
    return reply, dict(reply.fields)


@KINDS
def test_every_error_is_an_rfc_9457_problem(kind: type[GatewayError]) -> None:
    reply, fields = rendered(kind())
    problem = json.loads(reply.body or b"")
    assert reply.status == problem["status"] == kind.status
    assert problem["type"] == TYPE_BASE + kind.code
    assert problem["code"] == kind.code
    assert fields[b"ttagw-reason"] == kind.code.encode()
    assert fields[b"content-type"] == b"application/problem+json"
    assert (problem["title"], problem["detail"]) == (kind.title, kind.detail)
    assert problem["request_id"] == "01890a5d-ac96-774b-bcce-b302099a8057"
    assert problem["instance"] == "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057"
    assert "retry_after" not in problem
    assert reply.reason == kind.code


class Page(HTMLParser):
    """Collects the text and the tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


@KINDS
def test_every_error_is_a_page_and_a_text(kind: type[GatewayError]) -> None:
    reply, fields = rendered(kind(), b"text/html")
    page = Page()
    page.feed((reply.body or b"").decode())
    assert kind.title in page.text
    assert kind.detail in page.text
    assert kind.code in page.text
    assert "script" not in page.tags
    assert fields[b"content-security-policy"].startswith(b"default-src 'none'")
    text, fields = rendered(kind(), b"text/plain")
    assert fields[b"content-type"] == b"text/plain; charset=utf-8"
    assert (text.body or b"").decode().splitlines()[:2] == [kind.title, kind.detail]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, b"application/problem+json"),
        (b"*/*", b"application/problem+json"),
        (b"application/json", b"application/json"),
        (b"text/html,application/xhtml+xml,*/*;q=0.8", b"text/html; charset=utf-8"),
        (b"text/plain;q=0.9, text/html;q=0.1", b"text/plain; charset=utf-8"),
        (b"image/png", b"application/problem+json"),
        (b"nonsense;;;=", b"application/problem+json"),
    ],
)
def test_the_form_is_the_one_that_is_accepted(accept: bytes | None, kind: bytes) -> None:
    _, fields = rendered(GatewayError(), accept)
    assert fields[b"content-type"] == kind
    assert fields[b"vary"] == b"accept"
    assert fields[b"cache-control"] == b"no-store"
    assert fields[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("accept", [b"*/*", b"text/html", b"text/plain", b"application/json"])
def test_nothing_of_the_request_is_repeated(accept: bytes) -> None:
    made = exchange(fields=((b"Accept", accept + b", " + SECRET), (b"X-Secret", SECRET)))
    made.path = b"/" + SECRET
    made.query = made.host = made.authority = SECRET
    reply = render(made, GatewayError("a_reason"))
    assert SECRET not in b"".join([*(name + value for name, value in reply.fields), reply.body or b""])


@pytest.mark.parametrize("accept", [b"*/*", b"text/html"])
def test_when_to_try_again_is_said(accept: bytes) -> None:
    reply, fields = rendered(UpstreamUnavailableError(retry_after=5), accept)
    assert fields[b"retry-after"] == b"5"
    assert b"5" in (reply.body or b"")
    if accept == b"*/*":
        assert json.loads(reply.body or b"")["retry_after"] == 5


def test_fields_of_the_error_are_passed_on() -> None:
    _, fields = rendered(MethodNotAllowedError(fields=((b"allow", b"GET"),)))
    assert fields[b"allow"] == b"GET"


def test_a_wording_with_markup_is_escaped_in_the_page() -> None:
    reply, _ = rendered(GatewayError(detail="<script>1</script>"), b"text/html")
    assert b"<script>" not in (reply.body or b"")
    assert b"&lt;script&gt;" in (reply.body or b"")


def test_an_id_that_is_no_uuid_is_a_fragment() -> None:
    made = exchange()
    made.id = b"from-a-proxy/1"
    assert json.loads(render(made, GatewayError()).body or b"")["instance"] == "#from-a-proxy/1"


US = "You are <not> alone."


def supported(kind: type[GatewayError], accept: bytes, *fields: tuple[bytes, bytes], hotline: str = "988") -> Reply:
    asked = exchange(fields=((b"Accept", accept), *fields))
    regions = {"US": {"text": US, "hotline": hotline}, "DE": {"text": "Hilfe.", "hotline": "116 123"}}
    settings = Settings.model_validate({"region_header": "x-region", "regions": regions})
    asked.route.fallback = Fallback(settings)
    return render(asked, kind())


OWN = pytest.mark.parametrize("kind", [each for each in catalogue() if each.status < 500], ids=lambda kind: kind.code)


@OWN
def test_on_a_route_with_a_safe_answer_help_goes_with_every_other_error(kind: type[GatewayError]) -> None:
    for accept in (b"application/problem+json", b"text/html", b"text/plain"):
        reply = supported(kind, accept)
        fields = dict(reply.fields)
        assert (reply.status, fields[b"ttagw-reason"]) == (kind.status, kind.code.encode())
        assert (fields[b"x-crisis-support"], fields[b"x-crisis-hotline"]) == (b"available", b"988")
        assert fields[b"vary"] == b"accept, x-region"
        assert set(kind().fields) <= set(reply.fields)


def test_help_beside_an_error_is_a_member_a_paragraph_or_lines() -> None:
    plain = json.loads(rendered(TokenExpiredError())[0].body or b"")
    document = json.loads(supported(TokenExpiredError, b"*/*").body or b"")
    assert document == {**plain, "support": {"text": US, "hotline": "988", "region": "US"}}
    page = (supported(TokenExpiredError, b"text/html").body or b"").decode()
    assert '<p class="help">You are &lt;not&gt; alone.</p><p class="help"><a href="tel:988">988</a></p>' in page
    lines = (supported(TokenExpiredError, b"text/plain").body or b"").decode().splitlines()
    assert lines[:4] == [TokenExpiredError.title, TokenExpiredError.detail, US, "988"]
    assert lines[4].startswith("401 token_expired ")


def test_help_beside_an_error_is_that_of_the_region() -> None:
    document = json.loads(supported(LoginPausedError, b"*/*", (b"X-Region", b"de")).body or b"")
    assert document["support"] == {"text": "Hilfe.", "hotline": "116 123", "region": "DE"}


def test_help_beside_an_error_may_have_no_number() -> None:
    for accept in (b"*/*", b"text/html", b"text/plain"):
        reply = supported(AccessRefusedError, accept, hotline="")
        assert b"x-crisis-hotline" not in dict(reply.fields)
        assert b"tel:" not in (reply.body or b"")
        assert b"\n\n" not in (reply.body or b"")


def test_without_a_safe_answer_an_error_offers_no_help() -> None:
    reply, fields = rendered(TokenExpiredError())
    assert b"x-crisis-support" not in fields
    assert "support" not in json.loads(reply.body or b"")
    assert fields[b"vary"] == b"accept"


def test_a_login_offers_the_help_of_another_service() -> None:
    asked = exchange(fields=((b"Accept", b"*/*"),))
    asked.route.help = Fallback(Settings.model_validate({"regions": {"US": {"text": US, "hotline": "988"}}}))
    reply = render(asked, LoginPausedError(retry_after=1800))
    assert (reply.status, dict(reply.fields)[b"x-crisis-hotline"]) == (429, b"988")
    assert dict(reply.fields)[b"retry-after"] == b"1800"
    document = json.loads(reply.body or b"")
    assert (document["code"], document["support"]["text"]) == ("login_paused", US)
    asked.route.help = Fallback(Settings.model_validate({"status": 200, "regions": {"US": {"text": US}}}))
    assert render(asked, UpstreamUnavailableError()).status == 503


# In a crisis


CONFIGURED = Fallback(
    Settings.model_validate({"status": 200, "default_region": "US", "regions": {"US": {"text": "As configured."}}})
)


@KINDS
@pytest.mark.parametrize("accept", [None, b"application/json", b"text/html", b"text/plain", b"image/png"])
def test_nobody_in_a_crisis_is_left_with_a_bare_error(kind: type[GatewayError], accept: bytes | None) -> None:
    made = exchange(fields=() if accept is None else ((b"Accept", accept),))
    made.rank = TrafficClass.CRISIS
    reply = render(made, kind())
    assert dict(reply.fields)[b"x-crisis-support"] == b"available"
    assert dict(reply.fields)[b"x-crisis-hotline"] == b"988"
    assert all(number in (reply.body or b"") for number in (b"988", b"741741", b"911"))
    assert reply.status == (503 if kind.status >= 500 else kind.status)
    assert made.helped is (kind.status >= 500)


def test_what_is_configured_is_given_before_what_is_built_in() -> None:
    made = exchange()
    made.rank = TrafficClass.CRISIS
    made.route.crisis = CONFIGURED
    reply = render(made, UpstreamUnavailableError())
    assert (reply.status, b"As configured" in (reply.body or b"")) == (200, True)
    made.route.fallback = Fallback(
        Settings.model_validate({"default_region": "US", "regions": {"US": {"text": "Of the route."}}})
    )
    reply = render(made, UpstreamUnavailableError())
    assert (reply.status, b"Of the route" in (reply.body or b"")) == (503, True)


@pytest.mark.parametrize("rank", [each for each in TrafficClass if each is not TrafficClass.CRISIS])
def test_other_classes_get_what_their_route_says(rank: TrafficClass) -> None:
    made = exchange()
    made.rank = rank
    made.route.crisis = CONFIGURED
    reply = render(made, UpstreamUnavailableError())
    assert (reply.status, made.helped) == (503, False)
    assert b"x-crisis-support" not in dict(reply.fields)
