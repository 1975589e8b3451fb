"""The safe answer of a route that must never end in a bare error: help for the person's region, whatever is down.

Everything is prepared when the gateway starts, so that it needs no store, no service and no file later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from html import escape
from typing import Protocol

import msgspec

from ttagw.core.negotiation import preferred
from ttagw.errors import GatewayError
from ttagw.model import Exchange, Fields, Reply
from ttagw.pipeline import Support

_OFFERS = ("application/problem+json", "application/json", "text/html", "text/plain")
_encode = msgspec.json.Encoder().encode

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Help is available</title>
<style>body{{font:20px/1.6 system-ui,sans-serif;max-width:34em;margin:12vh auto;padding:0 1.5em;color:#233;
background:#f7f8f6}}h1{{font-size:1.3em;font-weight:600}}p.help{{font-size:1.15em}}a{{color:#0b5d6b}}
small{{color:#677}}</style></head>
<body><h1>Help is available</h1>{help}
<p>This part of the story cannot be reached for a moment; it will be back.</p>
<p><small>{code} · {request_id}</small></p></body></html>
"""


class Help(Protocol):
    """Help in one region: `fallbacks.*.regions.*`."""

    @property
    def text(self) -> str: ...
    @property
    def hotline(self) -> str: ...


class Settings(Protocol):
    """`fallbacks.*`."""

    @property
    def status(self) -> int: ...
    @property
    def region_header(self) -> str: ...
    @property
    def default_region(self) -> str: ...
    @property
    def regions(self) -> Mapping[str, Help]: ...


class Fallback:
    """One safe answer, in every form and for every region."""

    def __init__(self, settings: Settings) -> None:
        self._status = settings.status
        self._header = settings.region_header.lower().encode("ascii")
        self._regions = {name.lower(): (name, help_) for name, help_ in settings.regions.items()}
        self._default = settings.default_region.lower()
        self.given = 0
        """How often it was needed."""

    def reply(self, exchange: Exchange, error: GatewayError) -> Reply:
        """The answer, in the form that the request's `Accept` prefers; `error` is what it stands in for."""
        self.given += 1
        support = self.support(exchange)
        accept = exchange.value(b"accept")
        offer = _OFFERS[0] if accept is None else preferred(accept, _OFFERS) or _OFFERS[0]
        if offer == _OFFERS[0] and self._status < 400:
            # A problem document says that something went wrong, and this status says that it did not.
            offer = "application/json"
        request_id = exchange.id.decode("ascii")
        body, kind = self._body(offer, error, support, request_id)
        fields = support_fields(support)
        if error.retry_after is not None and self._status >= 400:
            fields.append((b"retry-after", b"%d" % error.retry_after))
        fields += [
            (b"date", formatdate(usegmt=True).encode("ascii")),
            (b"content-type", kind.encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"vary", vary(support)),
            (b"x-content-type-options", b"nosniff"),
            (b"ttagw-reason", error.code.encode("ascii")),
        ]
        if offer == "text/html":
            fields.append((b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"))
        return Reply(self._status, fields, body, reason=error.reason)

    def support(self, exchange: Exchange) -> Support:
        """The help for the region that the request names."""
        region, help_ = self._region(exchange)
        return Support(help_.text, help_.hotline, region, self._header)

    def usual(self) -> Support:
        """The help for the region of those who name none."""
        region, help_ = self._regions[self._default]
        return Support(help_.text, help_.hotline, region, b"")

    def _region(self, exchange: Exchange) -> tuple[str, Help]:
        if self._header:
            value = exchange.value(self._header)
            if value is not None:
                found = self._regions.get(value.decode("latin-1").strip().lower())
                if found is not None:
                    return found
        return self._regions[self._default]

    def _body(self, offer: str, error: GatewayError, support: Support, request_id: str) -> tuple[bytes, str]:
        if offer == "text/html":
            page = _PAGE.format(help=support_page(support), code=error.code, request_id=escape(request_id))
            return page.encode(), "text/html; charset=utf-8"
        if offer == "text/plain":
            return f"{support_lines(support)}{error.code} {request_id}\n".encode(), "text/plain; charset=utf-8"
        document = {
            "type": f"https://docs.tta.example/errors#{error.code}",
            "title": "Help is available",
            "status": self._status,
            "detail": support.text,
            "request_id": request_id,
            "code": error.code,
            **error.more,
            "support": support_member(support),
        }
        if error.retry_after is not None:
            document["retry_after"] = error.retry_after
        return _encode(document) + b"\n", offer


@dataclass(frozen=True)
class _Help:
    text: str
    hotline: str


@dataclass(frozen=True)
class _Settings:
    status: int
    region_header: str
    default_region: str
    regions: Mapping[str, Help]


BUILT_IN = Fallback(
    _Settings(
        503,
        "",
        "US",
        {"US": _Help("You are not alone. Call or text 988, or text HOME to 741741. In danger now: 911.", "988")},
    )
)
"""What a request of the class crisis gets where no safe answer is configured: those of the US, by call and by text."""


def support_fields(support: Support) -> Fields:
    """The header fields that say that there is help."""
    fields: Fields = [(b"x-crisis-support", b"available")]
    if support.hotline:
        fields.append((b"x-crisis-hotline", support.hotline.encode("latin-1", "replace")))
    return fields


def support_member(support: Support) -> dict[str, str]:
    """It as a member of a document."""
    return {"text": support.text, "hotline": support.hotline, "region": support.region}


def support_lines(support: Support) -> str:
    """It as lines of text."""
    return f"{support.text}\n{support.hotline}\n" if support.hotline else f"{support.text}\n"


def support_page(support: Support) -> str:
    """It as paragraphs of a page."""
    number = escape(support.hotline)
    # A link must not have the spaces that make a number easy to read (RFC 3966 §3).
    link = "".join(number.split())
    call = f'<p class="help"><a href="tel:{link}">{number}</a></p>' if number else ""
    return f'<p class="help">{escape(support.text)}</p>{call}'


def vary(support: Support | None) -> bytes:
    """The value of `Vary`."""
    return b"accept, " + support.varies_by if support is not None and support.varies_by else b"accept"
