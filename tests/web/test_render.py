from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from ttagw.errors import GatewayError, LoginPausedError, MethodNotAllowedError, UpstreamUnavailableError, catalogue
from ttagw.model import Reply
from ttagw.problem import Support
from ttagw.testing import exchange
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


class Helping:
    """Knows one number to call, or none."""

    def __init__(self, hotline: str) -> None:
        self.hotline = hotline

    def reply(self, exchange: object, error: GatewayError) -> Reply:
        raise AssertionError("it stands in for nothing here")

    def support(self, exchange: object) -> tuple[Support, list[tuple[bytes, bytes]]]:
        return Support("You are <not> alone.", self.hotline, "US"), [(b"x-crisis-support", b"available")]


@pytest.mark.parametrize("hotline", ["98 8", ""])
def test_who_is_locked_out_finds_help_in_every_form(hotline: str) -> None:
    def ask(error: GatewayError, accept: bytes) -> tuple[Reply, str]:
        made = exchange(fields=((b"Accept", accept),))
        made.route.help = Helping(hotline)
        reply = render(made, error)
        return reply, (reply.body or b"").decode()

    reply, text = ask(LoginPausedError(retry_after=1800), b"*/*")
    assert (reply.status, dict(reply.fields)[b"x-crisis-support"]) == (429, b"available")
    assert dict(reply.fields)[b"retry-after"] == b"1800"
    assert json.loads(text)["support"] == {"text": "You are <not> alone.", "hotline": hotline, "region": "US"}
    assert json.loads(text)["code"] == "login_paused"
    page = ask(LoginPausedError(), b"text/html")[1]
    assert "You are &lt;not&gt; alone." in page
    assert ('<a href="tel:988">98 8</a>' in page) == bool(hotline)
    assert f"You are <not> alone.\n{hotline}".strip() + "\n429 " in ask(LoginPausedError(), b"text/plain")[1]
    reply, text = ask(MethodNotAllowedError(), b"*/*")
    assert b"x-crisis-support" not in dict(reply.fields)
    assert "support" not in json.loads(text)


def test_without_help_there_is_none() -> None:
    assert "support" not in json.loads(rendered(LoginPausedError())[0].body or b"")
