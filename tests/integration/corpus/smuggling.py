"""Attempts to make two programs disagree about where a request ends: every known family."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.corpus.case import HIDDEN, Case, label, request

CODINGS = (
    b"xchunked",
    b"chunkedx",
    b"x chunked",
    b"chunked x",
    b"chunk ed",
    b"chunked, chunked",
    b"chunked, identity",
    b"identity, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"identity",
    b"gzip",
    b"deflate",
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked;q=1",
    b"chunked;",
    b'"chunked"',
    b"'chunked'",
    b"\x0bchunked",
    b"chunked\x0b",
    b"chunked\x0c",
    b"chunked\x00",
    b"\x00chunked",
    b"chunked\xa0",
    b"\xffchunked",
    b"chun\tked",
    b"chunked\r",
    b"",
)
"""Values of Transfer-Encoding that are not one `chunked`."""

NAMES = (
    b"Transfer-Encoding ",
    b"Transfer-Encoding\t",
    b" Transfer-Encoding",
    b"\tTransfer-Encoding",
    b"Transfer_Encoding",
    b"Transfer Encoding",
    b"\x0bTransfer-Encoding",
    b"Transfer-Encoding\x0b",
    b"Transfer-Encoding\x00",
    b"\x00Transfer-Encoding",
    b"Transfer-Encoding\xa0",
    b"Transfer\xadEncoding",
    b'"Transfer-Encoding"',
    b"Transfer-Encoding\r",
    b"Transfer-Encoding\n",
    b"X\nTransfer-Encoding",
    b"X: y\rTransfer-Encoding",
    b"Content_Length",
)
"""Names that somebody may take for Transfer-Encoding."""

LENGTHS = (
    b"5, 5",
    b"5,5",
    b"5, 6",
    b"+5",
    b"-5",
    b"-0",
    b"0x5",
    b"5h",
    b"5.0",
    b"5e0",
    b"5 5",
    b"5\t5",
    b"5,",
    b",5",
    b"5;",
    b'"5"',
    b"5_0",
    b"5\x00",
    b"5\x0b",
    b"\x0b5",
    b"\xb25",
    b"\xd9\xa5",
    b"5\r",
    b"",
    b" ",
    b"five",
    b"NaN",
    b"1" * 16,
    b"9" * 19,
    b"18446744073709551621",
    b"1" * 200,
)
"""Values of Content-Length that are not `^\\d{1,15}$`."""

CHUNK_HEADS = (
    b"0x5\r\n",
    b"x5\r\n",
    b"+5\r\n",
    b"-5\r\n",
    b" 5\r\n",
    b"5 \r\n",
    b"5\t\r\n",
    b"\t5\r\n",
    b"5.\r\n",
    b"5_\r\n",
    b"5,\r\n",
    b"g\r\n",
    b"\r\n",
    b"\n",
    b"5\n",
    b"5\r",
    b"5\r\r\n",
    b"5\n\r\n",
    b"5\x00\r\n",
    b"5\x0b\r\n",
    b"5\xa0\r\n",
    b"\xef\xbc\x95\r\n",
    b"10000000000000005\r\n",
    b"fffffffffffffffff\r\n",
    b"-fffffffffffffffb\r\n",
    b"5;\r\n",
    b"5;;\r\n",
    b"5;=\r\n",
    b"5;=b\r\n",
    b"5;a=\x00\r\n",
    b"5;a\x00b\r\n",
    b"5;a\x7f\r\n",
    b"5;a\rb\r\n",
    b"5;a\nb\r\n",
    b"5;a\n",
    b'5;a="\n"\r\n',
    b"5;a b\r\n",
    b"5;(\r\n",
    b"5;a=(\r\n",
    b'5;a="b"c\r\n',
    b"5 5\r\n",
)
"""What may not stand before the five bytes of a first chunk."""

AFTER_CHUNK = (
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\n\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello\r\n0\n\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"5\r\nhello\r\n0\r\r\n",
    b"5\r\nhello\r\n0;\r\n\r\n",
    b"5\r\nhello\r\n0x0\r\n\r\n",
    b"5\r\nhello\r\n-1\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    b"5\r\nhello\r\n0\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
)
"""Bodies that go wrong after their first chunk."""


def _both() -> Iterator[Case]:
    """Content-Length and Transfer-Encoding, in either order, whatever the coding says."""
    chunked = b"0\r\n\r\n" + HIDDEN
    yield Case("cl-te", request(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=chunked))
    yield Case("te-cl", request(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=chunked))
    yield Case("cl0-te", request(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=chunked))
    yield Case("te-cl0", request(b"Transfer-Encoding: chunked", b"Content-Length: 0", body=chunked))
    yield Case("te-cl-te", request(*[b"Transfer-Encoding: chunked", b"Content-Length: 5"] * 2, body=chunked))
    yield Case("cl-te-upper", request(b"CONTENT-LENGTH: 5", b"TRANSFER-ENCODING: CHUNKED", body=chunked))
    yield Case("cl-te-tab", request(b"Content-Length: 5", b"Transfer-Encoding:\tchunked", body=chunked))
    get = b"GET /outer HTTP/1.1"
    yield Case("get-cl-te", request(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=chunked, first=get))


def _codings() -> Iterator[Case]:
    for coding in CODINGS:
        line = b"Transfer-Encoding: " + coding
        yield Case("te-" + label(coding), request(line, body=b"0\r\n\r\n" + HIDDEN))
        yield Case("cl-te-" + label(coding), request(b"Content-Length: 5", line, body=b"0\r\n\r\n" + HIDDEN))
    for pair in (
        (b"chunked", b"chunked"),
        (b"chunked", b"x"),
        (b"x", b"chunked"),
        (b"chunked", b""),
        (b"", b"chunked"),
    ):
        lines = [b"Transfer-Encoding: " + coding for coding in pair]
        yield Case("te-te-" + label(b"-".join(pair)), request(*lines, body=b"0\r\n\r\n" + HIDDEN))


def _names() -> Iterator[Case]:
    for name in NAMES:
        data = request(b"Content-Length: 5", name + b": chunked", body=b"0\r\n\r\n" + HIDDEN)
        yield Case("name-" + label(name), data)


def _lengths() -> Iterator[Case]:
    for length in LENGTHS:
        yield Case("cl-" + label(length)[:24], request(b"Content-Length: " + length, body=b"hello" + HIDDEN))
    for pair in ((b"5", b"5"), (b"5", b"6"), (b"0", b"39"), (b"39", b"0"), (b"5", b""), (b"", b"5")):
        lines = [b"Content-Length: " + length for length in pair]
        yield Case("cl-cl-" + label(b"-".join(pair)), request(*lines, body=b"hello" + HIDDEN))
    yield Case("cl-folded", request(b"Content-Length:", b" 5", body=b"hello" + HIDDEN))
    yield Case("cl-space", request(b"Content-Length : 5", body=b"hello" + HIDDEN))


def _chunks() -> Iterator[Case]:
    coding = b"Transfer-Encoding: chunked"
    for head in CHUNK_HEADS:
        yield Case("chunk-" + label(head), request(coding, body=head + b"hello\r\n0\r\n\r\n" + HIDDEN))
    for body in AFTER_CHUNK:
        yield Case("after-" + label(body[7:]), request(coding, body=body + HIDDEN), begins=True)
    old = b"POST /outer HTTP/1.0"
    yield Case("te-http10", request(coding, body=b"0\r\n\r\n" + HIDDEN, first=old))
    yield Case("te-cl-http10", request(coding, b"Content-Length: 5", body=b"0\r\n\r\n" + HIDDEN, first=old))


SMUGGLING = (*_both(), *_codings(), *_names(), *_lengths(), *_chunks())
