from __future__ import annotations

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.kit.programs import certificate as issued
from ttagw.auth.certificates import Certificates, canonical, names_in
from ttagw.config.auth import Client
from ttagw.core.identity import Identity
from ttagw.core.rbac import Role, Roles
from ttagw.testing import Clock, exchange

CA = trustme.CA()
ROLES = Roles({"service": Role(("run",))})


def made(
    subject: str = "CN=core,O=TTA",
    *names: x509.GeneralName,
    usage: tuple[ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued(CA, subject, names, usage=usage)[0])


def client(match: str, name: str = "core", **more: tuple[str, ...]) -> Client:
    return Client(name=name, match=match, **more)  # type: ignore[arg-type]


def owner(certificate: x509.Certificate, *matches: str) -> str:
    """The match by which somebody is known."""
    found = Certificates([client(match, f"c{at}") for at, match in enumerate(matches)], ROLES).owner(certificate)
    return "" if found is None else matches[int(found.user[1:])]


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (made("CN=core,O=TTA"), {"subject:CN=core,O=TTA", "cn:core"}),
        (made("CN=a,CN=b"), {"subject:CN=a,CN=b"}),
        (made("O=TTA"), {"subject:O=TTA"}),
        (made(r"CN=a\,O=TTA"), {r"subject:CN=a\,O=TTA", "cn:a,O=TTA"}),
        (made("CN=core", x509.DNSName("Core.Internal")), {"subject:CN=core", "dns:core.internal"}),
        (made("CN=core", x509.DNSName("*.internal")), {"subject:CN=core"}),
        (
            made(
                "CN=core",
                x509.UniformResourceIdentifier("spiffe://TTA/A"),
                x509.RFC822Name("Ops@tta.example"),
                x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "core")])),
                x509.RegisteredID(ObjectIdentifier("1.2.3")),
            ),
            {"subject:CN=core", "uri:spiffe://TTA/A", "email:Ops@tta.example"},
        ),
        (made("CN=core", usage=()), {"subject:CN=core", "cn:core"}),
        (made("CN=core", usage=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), {"subject:CN=core", "cn:core"}),
        (made("CN=core", usage=(ExtendedKeyUsageOID.SERVER_AUTH,)), set()),
    ],
)
def test_what_can_match_a_certificate(certificate: x509.Certificate, names: set[str]) -> None:
    assert names_in(certificate) == names


def test_the_first_match_in_the_list_is_who_it_is() -> None:
    both = made("CN=core,O=TTA", x509.DNSName("b.internal"), x509.DNSName("a.internal"))
    assert owner(both, "dns:A.internal", "dns:b.internal") == "dns:A.internal"
    assert owner(both, "dns:b.internal", "dns:a.internal") == "dns:b.internal"
    assert (
        owner(both, "cn:core", "uri:a.internal", "subject:CN=core,O=TTA", "dns:b.internal") == "subject:CN=core,O=TTA"
    )
    assert owner(both, "dns:internal", "dns:x.a.internal", "email:a.internal", "subject:CN=core") == ""
    assert owner(both) == ""


@given(st.from_regex(r"[a-z0-9-]{1,10}(\.[a-z0-9-]{1,10}){0,3}", fullmatch=True), st.data())
def test_only_the_same_name_matches(name: str, data: st.DataObject) -> None:
    other = data.draw(
        st.sampled_from([name + ".", "." + name, name[1:], name[:-1], f"x.{name}", name.replace(".", "-")])
    )
    assert canonical(f"dns:{name.upper()}") == canonical(f"dns:{name}")
    assert (canonical(f"dns:{other}") == canonical(f"dns:{name}")) == (other == name)


def test_who_it_is_has_what_the_client_has() -> None:
    certificate = made("CN=core")
    found = Certificates([client("cn:core", permissions=("register:a",))], ROLES).owner(certificate)
    assert found is not None
    assert (found.kind, found.user, found.roles) == ("certificate", "core", {"service"})
    assert found.permissions == {"run", "register:a"}
    assert found.ends == certificate.not_valid_after_utc.timestamp()
    assert found.begins == certificate.not_valid_before_utc.timestamp()
    assert b"x-user-id: core\r\n" in found.lines


class Connection:
    """A connection with a certificate, which is counted when it is read."""

    def __init__(self, certificate: x509.Certificate | None) -> None:
        self.read = 0
        self._certificate = certificate
        self.exchange = exchange()
        self.exchange.peer.certificate = self._show

    def _show(self) -> x509.Certificate | None:
        self.read += 1
        return self._certificate


def test_a_certificate_is_read_once_for_each_connection() -> None:
    certificate = made("CN=core")
    clock = Clock(certificate.not_valid_before_utc.timestamp())
    known = Certificates([client("cn:core")], ROLES, clock)
    connection = Connection(certificate)
    first = known.identify(connection.exchange)
    assert isinstance(first, Identity)
    assert known.identify(connection.exchange) is first
    assert connection.read == 1
    for nobody in (Connection(None), Connection(made("CN=other"))):
        assert known.identify(nobody.exchange) is known.identify(nobody.exchange) is None
        assert nobody.read == 1
    assert known.identify(exchange()) is None


def test_who_it_is_ends_with_the_certificate() -> None:
    certificate = made("CN=core")
    clock = Clock(certificate.not_valid_after_utc.timestamp() - 1.0)
    known = Certificates([client("cn:core")], ROLES, clock)
    connection = Connection(certificate)
    assert known.identify(connection.exchange) is not None
    clock.advance(1.0)
    assert known.identify(connection.exchange) is None


def test_one_that_cannot_be_read_is_of_nobody() -> None:
    class Broken:
        """As `cryptography` shows a certificate whose extensions are not what they say."""

        @property
        def extensions(self) -> object:
            raise ValueError("error parsing asn1 value")

    known = Certificates([client("cn:core")], ROLES)
    assert known.identify(Connection(Broken()).exchange) is None  # type: ignore[arg-type]


def test_one_that_openssl_takes_and_nobody_else_is_of_nobody() -> None:
    def show() -> x509.Certificate:
        raise ValueError("error parsing asn1 value")

    connection = exchange()
    connection.peer.certificate = show
    assert Certificates([client("cn:core")], ROLES).identify(connection) is None
