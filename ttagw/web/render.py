"""Errors as people and programs want to read them: RFC 9457 problem documents, a small page, or a line of text.

Errors of routes are rendered here. What the client sent is never repeated; the wording comes from `ttagw.errors`.
"""

from __future__ import annotations

from email.utils import formatdate
from html import escape

from ttagw.core.classes import TrafficClass
from ttagw.core.negotiation import preferred
from ttagw.errors import GatewayError
from ttagw.model import Exchange, Fields, Reply
from ttagw.pipeline import Support
from ttagw.problem import TYPE_BASE, problem
from ttagw.web.fallback import BUILT_IN, support_fields, support_lines, support_member, support_page, vary

__all__ = ["TYPE_BASE", "render"]

_OFFERS = ("application/problem+json", "application/json", "text/html", "text/plain")

_PAGE = """<!doctype html> <html lang="en"><head><meta charset="utf-8"><meta name="viewport"
content="width=device-width, initial-scale=1"> <title>{title}</title> <style>body{{font:18px/1.6
system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1.5em;color:#233;background:#f7f8f6}}
h1{{font-size:1.4em;font-weight:600}}small{{color:#677}}</style></head>
<body><h1>{title}</h1><p>{detail}</p>{again}{help}<p><small>{status} · {code} · {request_id}</small></p></body></html>
"""


def render(exchange: Exchange, error: GatewayError) -> Reply:
    """The answer that says `error`, in the form that the request's `Accept` prefers; or its route's safe answer.

    Where a route has one, whatever else it is answered with offers the same help. What is of the class crisis has one
    on every route.
    """
    fallback = exchange.route.fallback
    if fallback is None and exchange.rank is TrafficClass.CRISIS:
        fallback = exchange.route.crisis or BUILT_IN
    if fallback is not None and error.status >= 500:
        exchange.helped = True
        return fallback.reply(exchange, error)
    helping = fallback or exchange.route.help
    support = None if helping is None or error.status >= 500 else helping.support(exchange)
    fields: Fields = list(error.fields)
    if support is not None:
        fields += support_fields(support)
    if error.retry_after is not None:
        fields.append((b"retry-after", b"%d" % error.retry_after))
    request_id = exchange.id.decode("ascii")
    accept = exchange.value(b"accept")
    offer = _OFFERS[0] if accept is None else preferred(accept, _OFFERS) or _OFFERS[0]
    if offer == "text/html":
        body = _page(error, request_id, support)
        kind = b"text/html; charset=utf-8"
    elif offer == "text/plain":
        lines = "" if support is None else support_lines(support)
        body = f"{error.title}\n{error.text}\n{lines}{error.status} {error.code} {request_id}\n".encode()
        kind = b"text/plain; charset=utf-8"
    else:
        body = problem(error, request_id, None if support is None else support_member(support))
        kind = offer.encode("ascii")
    fields += [
        (b"date", formatdate(usegmt=True).encode("ascii")),
        (b"content-type", kind),
        (b"cache-control", b"no-store"),
        (b"vary", vary(support)),
        (b"x-content-type-options", b"nosniff"),
        (b"ttagw-reason", error.code.encode("ascii")),
    ]
    if kind.startswith(b"text/html"):
        fields.append((b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"))
    return Reply(error.status, fields, body, reason=error.reason)


def _page(error: GatewayError, request_id: str, support: Support | None) -> bytes:
    again = "" if error.retry_after is None else f"<p>Trying again in {error.retry_after} seconds is a good idea.</p>"
    return _PAGE.format(
        title=escape(error.title),
        detail=escape(error.text),
        again=again,
        help="" if support is None else support_page(support),
        status=error.status,
        code=escape(error.code),
        request_id=escape(request_id),
    ).encode()
