"""The rules at the edge: requests that are not exactly one HTTP/1.1 request, or go too far."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.corpus.case import HIDDEN, Case, get, label, request

MAX_URI = 1024
MAX_HEADERS = 20
MAX_HEADER_BYTES = 2048
MAX_BODY = 4096
"""The limits that the gateway of these cases has."""

FIRST_LINES = (
    b"GET  /a HTTP/1.1",
    b"GET /a  HTTP/1.1",
    b"GET /a HTTP/1.1 ",
    b" GET /a HTTP/1.1",
    b"GET\t/a HTTP/1.1",
    b"GET /a\tHTTP/1.1",
    b"GET /a HTTP/1.1\r",
    b"GET /a\rHTTP/1.1",
    b"GET /a b HTTP/1.1",
    b"GET /a",
    b"GET /a HTTP/0.9",
    b"GET /a HTTP/1.2",
    b"GET /a HTTP/1.10",
    b"GET /a HTTP/1",
    b"GET /a HTTP/11",
    b"GET /a HTTP/1,1",
    b"GET /a HTTP/2.0",
    b"GET /a HTTP/3.0",
    b"GET /a HTTP/01.1",
    b"GET /a http/1.1",
    b"GET /a HTTP/1.1 HTTP/1.1",
    b"GET /a HTTPS/1.1",
    b"GET /a ICE/1.0",
    b"GET /a RTSP/1.0",
    b"DESCRIBE /a RTSP/1.0",
    b"SOURCE /a ICE/1.0",
    b"PRI * HTTP/2.0",
    b"get /a HTTP/1.1",
    b"Get /a HTTP/1.1",
    b"GETT /a HTTP/1.1",
    b"G\x00T /a HTTP/1.1",
    b"(GET) /a HTTP/1.1",
    b"\xc7ET /a HTTP/1.1",
    b"/a HTTP/1.1",
    b"HTTP/1.1 200 OK",
    b"\x16\x03\x01\x02\x00\x01",
)

FIELDS = (
    b"X:a\nY: b",
    b"X: a\rY: b",
    b"X: a\r",
    b"X: a\x00b",
    b"X: \x01",
    b"X: a\x08",
    b"X: a\x0bb",
    b"X: a\x1fb",
    b"X: a\x7fb",
    b"X: a\r\n b",
    b"X: a\r\n\tb",
    b"X:\r\n a",
    b" X: a",
    b"\tX: a",
    b"X : a",
    b"X\t: a",
    b"X Y: a",
    b"X\x00: a",
    b"X\x7f: a",
    b"X\xe9: a",
    b"X(: a",
    b"X,Y: a",
    b"X/Y: a",
    b"X@Y: a",
    b"X[Y]: a",
    b'"X": a',
    b"{X}: a",
    b": a",
    b"X",
    b"X_Y: a",
    b"_X: a",
    b"X_: a",
    b"X_User_Id: 1",
    b"\rX: a",
    b"\nX: a",
)

HOSTS = (
    b"",
    b"Host:",
    b"Host: ",
    b"Host: h\r\nHost: h",
    b"Host: h\r\nhost: g",
    b"Host: h, g",
    b"Host: h,g",
    b"Host: u@h",
    b"Host: u:p@h",
    b"Host: h/path",
    b"Host: h?query",
    b"Host: h#fragment",
    b"Host: h\\g",
    b"Host: h g",
    b"Host: h\tg",
    b"Host: h:port",
    b"Host: h:0",
    b"Host: h:65536",
    b"Host: h:80:80",
    b"Host: :80",
    b"Host: .",
    b"Host: h%00",
    b"Host: h%2eg",
    b"Host: http://h",
    b"Host: [::1",
    b"Host: ::1",
    b"Host: [::g]",
    b"Host: [::1]x",
    b"Host: h\x00",
    b"Host: h\xe9",
    b"Host: <h>",
    b'Host: "h"',
    b"Host: " + b"h" * 300,
    b"Host : h",
    b" Host: h",
    b"Ho_st: h",
)

TARGETS = (
    b"*",
    b"/a#b",
    b"/a?b#c",
    b"/a\\b",
    b"/a\\..\\b",
    b"/\xe9",
    b"/\xf0\x9f\x98\x80",
    b"/a?\xe9",
    b"/a\x00b",
    b"/a?\x00",
    b"/a\x7f",
    b"/a\x0bb",
    b"/a%2fb",
    b"/a%2Fb",
    b"/a%5cb",
    b"/a%00",
    b"/a%0d%0aX:%20y",
    b"/a%7f",
    b"/a%",
    b"/a%4",
    b"/a%zz",
    b"/a%u0041",
    b"//a",
    b"/a//b",
    b"/.",
    b"/..",
    b"/./a",
    b"/a/.",
    b"/a/..",
    b"/a/../b",
    b"/%2e%2e/b",
    b"/%2E./b",
    b"/a/..;x/b",
    b"/a/.;/b",
    b"/;x/b",
    b"a",
    b"?a",
    b"h:80",
    b"h/a",
    b"http:/a",
    b"http://",
    b"http:///a",
    b"http://g/a",
    b"http://u@h/a",
    b"http://h:80/a",
    b"http://h/../a",
    b"http://h/a#b",
    b"ftp://h/a",
    b"file:///a",
    b"javascript:a",
)


def _malformed() -> Iterator[Case]:
    for line in FIRST_LINES:
        yield Case("line-" + label(line), request(first=line) + HIDDEN)
    for line in FIELDS:
        yield Case("field-" + label(line), get(b"/a", line) + HIDDEN)
    for host in HOSTS:
        yield Case("host-" + label(host)[:24], get(b"/a", host=host) + HIDDEN)
    for target in TARGETS:
        yield Case("target-" + label(target), get(target) + HIDDEN)
    yield Case("decoy-two-spaces", request(b"X: GET /a HTTP/1.1", first=b"GET  /a HTTP/1.1") + HIDDEN)
    yield Case("decoy-version", request(b"X: GET /a HTTP/1.1", first=b"GET /a HTTP/2.0") + HIDDEN)
    yield Case("absolute-without-host", get(b"http://h/a", host=b"") + HIDDEN)
    yield Case("lf-only", b"GET /a HTTP/1.1\nHost: h\n\n" + HIDDEN)
    yield Case("lf-after-line", b"GET /a HTTP/1.1\nHost: h\r\n\r\n" + HIDDEN)
    yield Case("lf-after-field", b"GET /a HTTP/1.1\r\nHost: h\n\r\n" + HIDDEN)
    yield Case("lf-at-end", b"GET /a HTTP/1.1\r\nHost: h\r\n\n" + HIDDEN)
    yield Case("cr-only", b"GET /a HTTP/1.1\rHost: h\r\r" + HIDDEN)
    yield Case("http10-without-host", b"GET /a HTTP/1.0\r\n\r\n" + HIDDEN)


def _refused() -> Iterator[Case]:
    """Well formed, but not offered."""
    upgrade = (b"Connection: Upgrade",)
    yield Case("connect", request(first=b"CONNECT h:443 HTTP/1.1") + HIDDEN, (405,))
    yield Case("connect-path", request(first=b"CONNECT /a HTTP/1.1") + HIDDEN, (405,))
    for protocol in (b"websocket", b"h2c", b"TLS/1.0", b"unknown"):
        yield Case("upgrade-" + label(protocol), get(b"/a", *upgrade, b"Upgrade: " + protocol) + HIDDEN)
    for value in (b"200-ok", b"100-continue, x", b"100-continued", b"", b"x=y"):
        yield Case("expect-" + label(value), request(b"Expect: " + value, b"Content-Length: 0") + HIDDEN, (417,))
    twice = (b"Expect: 100-continue", b"Expect: 100-continue")
    yield Case("expect-twice", request(*twice, b"Content-Length: 0") + HIDDEN, (417,))


def _too_much() -> Iterator[Case]:
    yield Case("uri", get(b"/" + b"a" * MAX_URI) + HIDDEN, (414,))
    yield Case("uri-endless", b"GET /" + b"a" * (MAX_URI + MAX_HEADER_BYTES + 1), (414,))
    many = [b"X-%d: a" % number for number in range(MAX_HEADERS)]
    yield Case("fields", get(b"/a", *many) + HIDDEN, (431,))
    yield Case("field-bytes", get(b"/a", b"X: " + b"a" * MAX_HEADER_BYTES) + HIDDEN, (431,))
    yield Case("field-endless", get(b"/a")[:-2] + b"X: " + b"a" * (MAX_URI + MAX_HEADER_BYTES + 1), (431,))
    yield Case("length", request(b"Content-Length: %d" % (MAX_BODY + 1)) + b"a" * 100, (413,))
    chunk = b"200\r\n%b\r\n" % (b"a" * 0x200)
    long = request(b"Transfer-Encoding: chunked", body=chunk * (MAX_BODY // 0x200 + 1) + b"0\r\n\r\n")
    yield Case("chunks", long + HIDDEN, (413,), begins=True)


def _pipelined() -> Iterator[Case]:
    good = get(b"/first")
    yield Case("good-bad", good + b"GET /a\r\n\r\n" + HIDDEN, (200, 400), (b"/first",))
    yield Case("good-good-bad", good * 2 + request(b"X : y") + HIDDEN, (200, 200, 400), (b"/first", b"/first"))
    yield Case("good-no-host", good + get(b"/a", host=b"") + HIDDEN, (200, 400), (b"/first",))
    yield Case("good-garbage", good + b"\x00\x01\x02\x03\r\n\r\n", (200, 400), (b"/first",))
    both = request(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    yield Case("good-cl-te", good + both + HIDDEN, (200, 400), (b"/first",))
    body = request(b"Content-Length: 5", body=b"hello", first=b"POST /first HTTP/1.1")
    yield Case("body-bad", body + b"X" + HIDDEN, (200, 400), (b"/first",))
    yield Case("last-more", get(b"/first", b"Connection: close") + HIDDEN, (200,), (b"/first",))
    yield Case("http10-more", request(first=b"GET /first HTTP/1.0") + HIDDEN, (200,), (b"/first",))
    yield Case("nowhere-bad", get(b"/first", b"Connection: x") + b"\x00" + HIDDEN, (200, 400), (b"/first",))


EDGE = (*_malformed(), *_refused(), *_too_much(), *_pipelined())
