from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_PEM, X509, X509Store, X509StoreContext, X509StoreContextError, load_certificate
from twisted.internet.error import ConnectionDone

from ttagw.wire import authorities as module
from ttagw.wire.authorities import Authorities, AuthoritiesError, refused


def test_those_in_a_file_are_trusted_and_no_others(tmp_path: Path) -> None:
    one, two, other = trustme.CA(), trustme.CA(), trustme.CA()
    file = tmp_path / "ca.pem"
    file.write_bytes(b"# ours\n" + one.cert_pem.bytes() + b"\n" + two.cert_pem.bytes())
    store = X509Store()
    Authorities(str(file)).put_into(store)
    for ca in (one, two):
        X509StoreContext(store, _leaf(ca)).verify_certificate()
    with pytest.raises(X509StoreContextError):
        X509StoreContext(store, _leaf(other)).verify_certificate()


def _leaf(ca: trustme.CA) -> X509:
    return load_certificate(FILETYPE_PEM, ca.issue_cert("a.example").cert_chain_pems[0].bytes())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "no PEM certificate in it"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no PEM certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", "not certificates in PEM"),
        (b"#" * 2000, "more than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(
    tmp_path: Path, content: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AuthoritiesError) as caught:
        Authorities(str(file))
    assert str(caught.value) == f"{file}: {said}"


@pytest.mark.parametrize(
    ("error", "is_refusal"),
    [
        (SSL.Error([("SSL routines", "", "certificate verify failed")]), True),
        (SSL.Error([("SSL routines", "", "wrong version number")]), False),
        (SSL.Error([]), False),
        (SSL.Error(), False),
        (ConnectionDone(), False),
        (None, False),
    ],
)
def test_a_refusal_is_known_by_how_the_connection_ends(error: BaseException | None, is_refusal: bool) -> None:
    assert refused(error) is is_refusal
