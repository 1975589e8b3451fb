"""Checks that need more than the configuration: routes, certificates, endpoints."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import trustme

from ttagw import checks
from ttagw.config import Config, Finding
from ttagw.config.validation import validate

A = 'services.a = {instances = ["http://h"]}\n'


def config_of(text: str) -> Config:
    config = validate(tomllib.loads(text)).config
    assert config is not None
    return config


def routes_of(*tables: str) -> list[Finding]:
    listed = ", ".join([f'{{service = "a", {table}}}' for table in tables])
    return checks.routes(config_of(f"{A}routes = [{listed}]"))


def listening(*endpoints: str, admin: str = "") -> list[Finding]:
    return checks.listeners(config_of(f"gateway = {{listen = {json.dumps(endpoints)}, admin = {json.dumps(admin)}}}"))


@pytest.fixture
def pem(tmp_path: Path) -> dict[str, str]:
    authority = trustme.CA()
    identity = authority.issue_cert("h")
    other = authority.issue_cert("other")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key", "other", "garbage", "nothing")}
    authority.cert_pem.write_to_path(files["ca"])
    identity.cert_chain_pems[0].write_to_path(files["cert"])
    identity.private_key_pem.write_to_path(files["key"])
    other.private_key_pem.write_to_path(files["other"])
    Path(files["garbage"]).write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    return files


@pytest.mark.parametrize(
    ("table", "key", "sentence"),
    [
        ('name = "r", path = "x"', "path", '"x" can match no path: path without slash'),
        ('name = "r", path = "/a//b"', "path", '"/a//b" can match no path: empty segment'),
        ('name = "r", path = "/{a}/{a}"', "path", '"/{a}/{a}" uses a name twice'),
        ('name = "r", path = "/a*"', "path", '"/a*": "a*" is neither a literal, nor {name}, nor a final *'),
        ('name = "r", path = "/a", rewrite = "/b/*"', "rewrite", '"/b/*" ends in /*, but "/a" does not'),
        ('name = "r", path = "/a", rewrite = "/{b}"', "rewrite", '"{b}" is not a param of the path; it has none'),
    ],
)
def test_paths_and_rewrites_that_cannot_be(table: str, key: str, sentence: str) -> None:
    assert routes_of(table, 'name = "s", path = "/s"') == [(("routes", 0, key), sentence)]


def test_routes_of_which_only_the_order_decides() -> None:
    found = routes_of('name = "r", path = "/{a}"', 'name = "s", path = "/{b}"')
    assert found == [(("routes", 1, "path"), '"s" and "r" are equally specific for every method')]


def test_a_route_that_can_never_answer() -> None:
    found = routes_of(
        'name = "r", path = "/a"',
        'name = "s", path = "/a/"',
        'name = "t", path = "/a/{b}/*"',
        'name = "u", path = "/a/*"',
    )
    assert found == [(("routes", 3, "path"), '"u" can never answer: whatever it matches goes to "r" and "s" and "t"')]


def test_routes_that_share_a_path_are_taken() -> None:
    assert (
        routes_of(
            'name = "r", path = "/a", methods = ["GET"]',
            'name = "s", path = "/a", methods = ["POST"]',
            'name = "t", path = "/a", methods = ["HEAD"]',
            'name = "u", path = "/a/*"',
            'name = "v", path = "/a", headers = {x = "1"}',
        )
        == []
    )


def tls(pem: dict[str, str], host: str = "https://h", **keys: str) -> list[Finding]:
    table = ", ".join([f'{key} = "{pem.get(name, name)}"' for key, name in keys.items()])
    return checks.certificates(
        config_of(f'services.a = {{instances = ["{host}"], tls = {{{table}}}}}\n{A.replace("a", "b", 1)}')
    )


def test_good_certificates_are_taken(pem: dict[str, str]) -> None:
    assert tls(pem, ca="ca", cert="cert", key="key", server_name="h") == []
    assert tls(pem, "http://h", ca="ca") == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"ca": "key"}, "no PEM certificate in it"),
        ({"ca": "garbage"}, "not a certificate and key in PEM that fit together"),
        ({"cert": "cert", "key": "ca"}, "not a certificate and key in PEM that fit together"),
    ],
)
def test_certificates_that_cannot_be_used(pem: dict[str, str], keys: dict[str, str], words: str) -> None:
    [(key, sentence)] = tls(pem, **keys)
    assert key == ("services", "a", "tls")
    assert words in sentence


def test_files_that_cannot_be_read_are_told_elsewhere(pem: dict[str, str]) -> None:
    assert tls(pem, ca="nothing") == []


def test_authorities_for_clients_that_cannot_be_used_are_told(pem: dict[str, str]) -> None:
    for name, words in (("key", "no PEM certificate in it"), ("garbage", "not certificates in PEM")):
        found = checks.authorities(config_of(f'auth.certificates.ca = "{pem[name]}"'))
        assert found == [(("auth", "certificates", "ca"), f"{pem[name]}: {words}")]
    assert checks.authorities in checks.EXTRA


def test_authorities_for_clients_that_can_be_used_are_taken(pem: dict[str, str]) -> None:
    assert checks.authorities(config_of(f'auth.certificates.ca = "{pem["ca"]}"')) == []
    assert checks.authorities(config_of(f'auth.certificates.ca = "{pem["nothing"]}"')) == []
    assert checks.authorities(config_of("")) == []


@pytest.mark.parametrize(
    "endpoints",
    [
        ("tcp:8000:interface=127.0.0.1", "tcp:8000:interface=127.0.0.2"),
        ("tcp:8000", "tcp:8001"),
        ("tcp:8000", "tcp6:8000"),
        (r"tcp:8000:interface=\:\:1", "tcp:8000:interface=127.0.0.1"),
        ("tcp:0", "tcp:0"),
        ("unix:/tmp/a", "unix:/tmp/b"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=1"),
    ],
)
def test_endpoints_that_can_be_listened_on_together(endpoints: tuple[str, ...]) -> None:
    assert listening(*endpoints) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("tcp:8000:interface=127.0.0.1", "tcp:8000:interface=127.0.0.1"),
        ("tcp:8000:interface=127.0.0.1", "tcp:8000"),
        ("tcp:8000:interface=0.0.0.0", "tcp:8000:interface=127.0.0.1"),
        ("tcp:8000", "tcp:08000:backlog=10"),
        (r"tcp:8000:interface=\:\:1", "tcp6:8000"),
        ("unix:/tmp/a", "unix:/tmp/a:mode=660"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_two_endpoints_in_one_place(first: str, second: str) -> None:
    told = [(("gateway", "listen", 1), f"{second}: the same place as {first}")]
    assert listening(first, second) == told
    assert listening(first, admin=second) == [(("gateway", "admin"), told[0][1])]


@pytest.mark.parametrize("endpoint", ["tcp:8000:bogus=1", "tcp:8000:backlog=many"])
def test_an_endpoint_that_cannot_be_made(endpoint: str) -> None:
    [(key, sentence)] = listening("tcp:1", endpoint)
    assert key == ("gateway", "listen", 1)
    assert sentence.startswith(endpoint)


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    [(key, sentence)] = listening(f"ssl:8443:privateKey={missing}")
    assert key == ("gateway", "listen", 0)
    assert str(missing) in sentence
    assert "No such file or directory" in sentence


def test_a_certificate_that_fits_is_taken(pem: dict[str, str]) -> None:
    assert listening(f"ssl:8443:privateKey={pem['key']}:certKey={pem['cert']}") == []


def test_a_socket_of_systemd_is_not_needed_for_the_check() -> None:
    assert listening("systemd:domain=INET:index=7") == []


def test_what_is_wrong_with_the_keys_is_said_with_its_line_there(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("[keys.a]\nhash = 5\nname = 5\n")
    config = config_of(f'auth.api_keys.file = "{file}"')
    place = ("auth", "api_keys", "file")
    assert checks.api_keys(config) == [
        (place, f"{file}:2: keys.a.hash: expected a string, got 5"),
        (place, f"{file}:3: keys.a.name: there is no such key here"),
    ]
    file.write_text("")
    assert checks.api_keys(config) == []
    file.unlink()
    assert checks.api_keys(config) == checks.api_keys(config_of("")) == []
