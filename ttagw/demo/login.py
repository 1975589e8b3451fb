"""Login, refresh and logout of the demo; the tokens say of themselves that they are not real."""

from __future__ import annotations

from twisted.web.server import Request

from ttagw.demo.answers import JsonResource, answer, read_object

ACCESS = "demo-access-token-not-real"
REFRESH = "demo-refresh-token-not-real"
ACCESS_SECONDS = 30 * 60
REFRESH_SECONDS = 7 * 24 * 3600
NOTE = "Demo tokens: they open nothing. Any user name is welcome, no password is looked at."


class Login(JsonResource):
    """`POST /login`: tokens for any user name, and two cookies."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """Answer with tokens; two Set-Cookie lines show that repeated headers arrive."""
        username = read_object(request).get("username", "guest")
        _set_cookie(request, f"demo_session={ACCESS}; Path=/; HttpOnly; SameSite=Lax; Max-Age={ACCESS_SECONDS}")
        _set_cookie(request, f"demo_theme=dusk; Path=/; SameSite=Lax; Max-Age={REFRESH_SECONDS}")
        return answer(request, {"username": username, **_tokens()})


class Refresh(JsonResource):
    """`POST /refresh`: a new access token for the refresh token."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """401 unless the demo's refresh token is given."""
        if read_object(request).get("refresh_token") != REFRESH:
            request.setHeader(b"www-authenticate", b'Bearer realm="demo", error="invalid_token"')
            return answer(request, {"error": "send the refresh_token that login gave"}, 401)
        return answer(request, _tokens())


class Logout(JsonResource):
    """`POST /logout`: takes the cookies back."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """Expire both cookies."""
        for name in ("demo_session", "demo_theme"):
            _set_cookie(request, f"{name}=; Path=/; Max-Age=0")
        return answer(request, {"goodbye": True})


def _tokens() -> dict[str, object]:
    return {
        "access_token": ACCESS,
        "refresh_token": REFRESH,
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "note": NOTE,
    }


def _set_cookie(request: Request, value: str) -> None:
    request.responseHeaders.addRawHeader(b"set-cookie", value.encode())
