"""Login, refresh and logout of the demo, and the keys of its tokens."""

from __future__ import annotations

import json
from uuid import uuid4

from twisted.web.server import Request

from ttagw.demo.answers import JsonResource, answer, read_object
from ttagw.demo.issuer import ACCESS_SECONDS, REFRESH_SECONDS, Issuer, person

NOTE = "Any user name is welcome, no password is looked at."


class Login(JsonResource):
    """`POST /login` with a `username`, as JSON or as a form: tokens, and two cookies."""

    isLeaf = True

    def __init__(self, issuer: Issuer) -> None:
        super().__init__()
        self._issuer = issuer

    def render_POST(self, request: Request) -> bytes:
        """Answer with tokens; two Set-Cookie lines show that repeated headers arrive."""
        name = _username(request)
        who = person(name)
        if who is None:
            return answer(request, {"error": "a username is up to 64 printable characters without spaces"}, 400)
        _set_cookie(request, f"demo_session={uuid4().hex}; Path=/; HttpOnly; SameSite=Lax; Max-Age={ACCESS_SECONDS}")
        _set_cookie(request, f"demo_theme=dusk; Path=/; SameSite=Lax; Max-Age={REFRESH_SECONDS}")
        return answer(request, {"username": name, "id": who.id, **self._issuer.issue(name, who), "note": NOTE})


class Refresh(JsonResource):
    """`POST /refresh` with a `refresh_token`: new tokens."""

    isLeaf = True

    def __init__(self, issuer: Issuer) -> None:
        super().__init__()
        self._issuer = issuer

    def render_POST(self, request: Request) -> bytes:
        """401 unless it is a refresh token of this demo."""
        tokens = self._issuer.refreshed(read_object(request).get("refresh_token"))
        if tokens is None:
            request.setHeader(b"www-authenticate", b'Bearer realm="demo", error="invalid_token"')
            return answer(request, {"error": "send the refresh_token that login gave"}, 401)
        return answer(request, tokens)


class Logout(JsonResource):
    """`POST /logout`: takes the cookies back."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """Expire both cookies."""
        for name in ("demo_session", "demo_theme"):
            _set_cookie(request, f"{name}=; Path=/; Max-Age=0")
        return answer(request, {"goodbye": True})


class Keys(JsonResource):
    """`GET /.well-known/jwks.json`: what the tokens can be checked with."""

    isLeaf = True

    def __init__(self, issuer: Issuer) -> None:
        super().__init__()
        self._issuer = issuer

    def render_GET(self, request: Request) -> bytes:
        """The key set and nothing else."""
        request.setHeader(b"content-type", b"application/json")
        return json.dumps(self._issuer.keys()).encode()


def _username(request: Request) -> str:
    """ "" where there is none."""
    # A form's fields have been read from the body already; read_object would find nothing left.
    named: list[bytes] = (request.args or {}).get(b"username", [])
    if named:
        return named[0].decode("latin-1")
    name = read_object(request).get("username", "")
    return name if isinstance(name, str) else ""


def _set_cookie(request: Request, value: str) -> None:
    request.responseHeaders.addRawHeader(b"set-cookie", value.encode())
