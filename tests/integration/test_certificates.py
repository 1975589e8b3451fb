"""Programs that show a certificate (mutual TLS)."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.programs import DAY, Programs, showing
from tests.integration.kit.raw import Answer, Client, get, once
from tests.integration.kit.waiting import until

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
CLIENTS = [
    {"name": "core", "match": "dns:Core.TTA.internal", "permissions": ["register:core"]},
    {"name": "mail", "match": "email:ops@tta.example"},
    {"name": "spiffe", "match": "uri:spiffe://tta/play"},
    {"name": "plain", "match": "cn:batch job"},
    {"name": "whole", "match": "subject:CN=whole,O=TTA"},
    {"name": "later", "match": "dns:both.tta.internal"},
    {"name": "other", "match": "dns:other.tta.internal", "roles": ["researcher"]},
]

SECRET = b"a secret that only the tests share"


def token(user: str) -> str:
    """A good token of a patient."""
    now = int(time.time())
    about = {"iss": "https://auth.tta.example", "aud": "tta", "sub": user, "role": "patient"}
    return jwt.encode({**about, "iat": now, "exp": now + 600, "jti": user}, SECRET, "HS256")


@dataclass
class Place:
    """A gateway that asks for certificates, and who issues them."""

    gateway: Gateway
    authority: Authority
    programs: Programs
    key: Key

    def context(self, shown: Path | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        return showing(self.authority.path, shown, version)

    def ask(self, shown: Path | None, path: str = "/any", *fields: str) -> Answer:
        return once(self.gateway.secure_port, get(path, *fields), self.context(shown))

    def user(self, shown: Path | None, path: str = "/any", *fields: str) -> str:
        """Who the service is told that it is; "" for nobody."""
        return values(self.ask(shown, path, *fields)).get("x-user-id", "")


def values(answer: Answer) -> dict[str, str]:
    """The fields that the service got."""
    assert answer.status == 200
    return {name.lower(): value for name, value in json.loads(answer.body)["fields"]}


@pytest.fixture(scope="module")
def place(folder: Path, origin: Origin, authority: Authority) -> Iterator[Place]:
    programs = Programs(folder)
    key = make_key(folder, "keyed", roles=("service",))
    routes = [
        route("/any/*", name="any", auth="optional"),
        route("/must/*", name="must", auth="required"),
        route("/service/*", name="service", auth="required", roles=["service"]),
    ]
    (folder / "secret").write_bytes(SECRET)
    issuer = {
        "issuer": "https://auth.tta.example",
        "audience": ["tta"],
        "algorithms": ["HS256"],
        "secret_file": str(folder / "secret"),
    }
    auth = {
        **key.section,
        "issuers": [issuer],
        "certificates": {"ca": str(programs.path), "clients": CLIENTS},
    }
    made = authority.issue("127.0.0.1")
    with Gateway(folder, {"s": service(origin.port)}, routes, certificate=made, auth=auth) as running:
        yield Place(running, authority, programs, key)
        assert running.failures() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_program_is_who_its_certificate_says(place: Place, version: ssl.TLSVersion) -> None:
    context = place.context(place.programs.usual("core.tta.internal"), version)
    with Client(place.gateway.secure_port, context) as client:
        for path in ("/service", "/must", "/service"):
            told = values(client.ask(get(path, "X-User-ID: somebody", "X-User-Role: admin")))
            assert (told["x-user-id"], told["x-user-role"]) == ("core", "service")
            assert told["x-user-permissions"] == "register:core"


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_certificate_nobody_is_known(place: Place, version: ssl.TLSVersion) -> None:
    context = place.context(None, version)
    answer = once(place.gateway.secure_port, get("/must"), context)
    assert (answer.status, answer.reason) == (401, b"credentials_required")
    assert "x-user-id" not in values(once(place.gateway.secure_port, get("/any", "X-User-ID: core"), context))
    assert once(place.gateway.port, get("/must")).status == 401
    assert "x-user-id" not in values(once(place.gateway.port, get("/any")))


def test_each_kind_of_name_is_matched(place: Place) -> None:
    programs = place.programs
    assert place.user(programs.usual("other.tta.internal", "CORE.tta.INTERNAL")) == "core"
    assert place.user(programs.usual("ops@tta.example")) == "mail"
    assert place.user(programs.odd(names=[x509.UniformResourceIdentifier("spiffe://tta/play")])) == "spiffe"
    assert place.user(programs.odd("CN=batch job")) == "plain"
    assert place.user(programs.odd("CN=whole,O=TTA")) == "whole"
    assert place.user(programs.odd("CN=whole,O=TTA", [x509.DNSName("x.example")])) == "whole"


def test_several_matches_are_the_first_in_the_list(place: Place) -> None:
    names = [x509.DNSName("both.tta.internal"), x509.DNSName("core.tta.internal")]
    assert place.user(place.programs.odd("CN=whole,O=TTA", names)) == "core"
    assert place.user(place.programs.odd("CN=whole,O=TTA", names[:1])) == "whole"


def test_what_only_looks_like_a_match_is_none(place: Place) -> None:
    programs = place.programs
    assert place.user(programs.odd(names=[x509.DNSName("*.tta.internal")])) == ""
    assert place.user(programs.usual("core.tta.internal.example")) == ""
    assert place.user(programs.usual("x.example", common_name="batch job")) == ""
    assert place.user(programs.odd("CN=core.tta.internal")) == ""
    assert place.user(programs.odd("CN=whole")) == ""
    assert place.user(programs.odd("CN=whole,O=TTA,C=US")) == ""
    assert place.user(programs.odd(names=[x509.UniformResourceIdentifier("spiffe://tta/play/x")])) == ""
    assert place.ask(programs.usual("stranger.example"), "/must").status == 401


def test_one_without_the_role_is_refused(place: Place) -> None:
    shown = place.programs.usual("other.tta.internal")
    assert place.user(shown, "/must") == "other"
    answer = place.ask(shown, "/service")
    assert (answer.status, answer.reason) == (403, b"access_refused")


@pytest.mark.parametrize("version", VERSIONS)
def test_one_that_does_not_verify_gets_no_connection(place: Place, tmp_path: Path, version: ssl.TLSVersion) -> None:
    programs, names = place.programs, [x509.DNSName("core.tta.internal")]
    bad = {
        "other authority": Programs(tmp_path).usual("core.tta.internal"),
        "self-signed": programs.odd(names=names, own=True),
        "over": programs.odd(names=names, age=2 * DAY),
        "not yet": programs.odd(names=names, age=-DAY),
        "not for clients": programs.odd(names=names, usage=[ExtendedKeyUsageOID.SERVER_AUTH]),
    }
    for what, shown in bad.items():
        before = place.gateway.metric("ttagw_client_certificates_refused_total")
        assert not _served(place, shown, version), what
        until(
            lambda before=before: place.gateway.metric("ttagw_client_certificates_refused_total") == before + 1,
            f"the refusal is counted: {what}",
        )
    assert _served(place, programs.odd(names=names, usage=[]), version)
    warned = [line for line in place.gateway.said() if "its certificate does not verify" in str(line)]
    assert warned
    assert "core.tta.internal" not in str(warned)


def _served(place: Place, shown: Path, version: ssl.TLSVersion) -> bool:
    """Whether a request gets any answer. With TLS 1.3 a client hears of a refusal only when it reads."""
    try:
        with Client(place.gateway.secure_port, place.context(shown, version)) as client:
            client.send(get("/any", "Connection: close"))
            return client.rest().startswith(b"HTTP/1.1 200 ")
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_is_resumed_and_so_everybody_is_verified(place: Place, version: ssl.TLSVersion) -> None:
    context = place.context(place.programs.usual("core.tta.internal"), version)
    with Client(place.gateway.secure_port, context) as first:
        assert values(first.ask(get("/any")))["x-user-id"] == "core"
        assert isinstance(first.socket, ssl.SSLSocket)
        session = first.socket.session
    assert session is not None
    with Client(place.gateway.secure_port, context, session=session) as second:
        assert isinstance(second.socket, ssl.SSLSocket)
        assert not second.socket.session_reused
        assert values(second.ask(get("/any")))["x-user-id"] == "core"


def test_an_explicit_credential_wins_over_the_certificate(place: Place) -> None:
    shown = place.programs.usual("core.tta.internal")
    assert place.user(shown, "/must", f"Authorization: Bearer {place.key.text}") == "keyed"
    assert place.user(shown, "/must", f"X-API-Key: {place.key.text}") == "keyed"
    told = values(place.ask(shown, "/must", f"Authorization: Bearer {token('7')}"))
    assert (told["x-user-id"], told["x-user-role"]) == ("7", "patient")
    assert place.ask(shown, "/service", f"Authorization: Bearer {token('7')}").status == 403
    answer = place.ask(shown, "/must", f"Authorization: Bearer {place.key.text[:-2]}AA")
    assert (answer.status, answer.reason) == (401, b"credentials_refused")
    answer = place.ask(shown, "/any", "Authorization: Bearer a.b.c")
    assert (answer.status, answer.reason) == (401, b"token_refused")
    with Client(place.gateway.secure_port, place.context(shown)) as client:
        keyed = (f"X-API-Key: {place.key.text}",)
        users = [values(client.ask(get("/any", *fields)))["x-user-id"] for fields in ((), keyed, ())]
    assert users == ["core", "keyed", "core"]


def test_one_that_ends_while_its_connection_is_open_is_no_longer_known(place: Place) -> None:
    names = [x509.DNSName("core.tta.internal")]
    shown = place.programs.odd(names=names, age=DAY, lasts=DAY + timedelta(minutes=5, seconds=8))
    with Client(place.gateway.secure_port, place.context(shown)) as client:
        assert values(client.ask(get("/any")))["x-user-id"] == "core"
        until(lambda: "x-user-id" not in values(client.ask(get("/any"))), "the certificate is over")
        assert client.ask(get("/must")).status == 401


def test_an_authority_below_another_is_enough(tmp_path: Path, origin: Origin, authority: Authority) -> None:
    root = trustme.CA()
    below = root.create_child_ca()
    below.cert_pem.write_to_path(str(tmp_path / "below.pem"))
    shown = tmp_path / "shown.pem"
    shown.write_bytes(below.issue_cert("core.tta.internal").private_key_and_cert_chain_pem.bytes())
    beside = tmp_path / "beside.pem"
    beside.write_bytes(root.issue_cert("core.tta.internal").private_key_and_cert_chain_pem.bytes())
    auth = {"certificates": {"ca": str(tmp_path / "below.pem"), "clients": CLIENTS}}
    made = authority.issue("127.0.0.1")
    routes = [route(auth="optional")]
    with Gateway(tmp_path, {"s": service(origin.port)}, routes, certificate=made, auth=auth) as running:
        answer = once(running.secure_port, get("/"), showing(authority.path, shown))
        assert values(answer)["x-user-id"] == "core"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            once(running.secure_port, get("/"), showing(authority.path, beside, ssl.TLSVersion.TLSv1_2))
