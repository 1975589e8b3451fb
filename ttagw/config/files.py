"""Files that a configuration names: made absolute, and looked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ttagw.config.faults import Finding
from ttagw.config.model import Config

_TLS = ("ca", "cert", "key")


def absolute(document: dict[str, Any], folder: Path) -> None:
    """Make the paths of a parsed document absolute, in place; relative ones begin at `folder`."""
    for table, name in _places(document):
        value = table.get(name)
        if isinstance(value, str) and value and value != "-":
            table[name] = str(folder / value)


def _places(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for service in _tables(document.get("services")):
        for name in _TLS:
            yield from _in(service.get("tls"), name)
    auth = document.get("auth")
    if isinstance(auth, dict):
        for issuer in _tables(auth.get("issuers")):
            yield issuer, "jwks_file"
            yield issuer, "secret_file"
        yield from _in(auth.get("api_keys"), "file")
        yield from _in(auth.get("upstream"), "secret_file")
    for route in _tables(document.get("routes")):
        yield route, "validate"
    yield from _in(document.get("safety"), "lexicon")
    yield from _in(document.get("audit"), "path")
    yield from _in(document.get("audit"), "pseudonym_key_file")
    yield from _in(document.get("log"), "access")


def _in(table: Any, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(table, dict):
        yield table, name


def _tables(value: Any) -> list[dict[str, Any]]:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in values if isinstance(each, dict)]


def missing(config: Config) -> list[Finding]:
    """Files that are named but cannot be read."""
    named: list[tuple[tuple[str | int, ...], str]] = []
    for name, service in config.services.items():
        if service.tls is not None:
            named += [(("services", name, "tls", key), getattr(service.tls, key)) for key in _TLS]
    for index, issuer in enumerate(config.auth.issuers):
        named += [(("auth", "issuers", index, key), getattr(issuer, key)) for key in ("jwks_file", "secret_file")]
    named.append((("auth", "api_keys", "file"), config.auth.api_keys.file))
    named.append((("auth", "upstream", "secret_file"), config.auth.upstream.secret_file))
    named.append((("audit", "pseudonym_key_file"), config.audit.pseudonym_key_file))
    named.append((("safety", "lexicon"), config.safety.lexicon))
    named += [(("routes", index, "validate"), route.validate_) for index, route in enumerate(config.routes)]
    findings: list[Finding] = []
    for key, path in named:
        fault = path and _unreadable(path)
        if fault:
            findings.append((key, f"{path}: cannot be read: {fault}"))
    return findings


def _unreadable(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return ""
    except OSError as error:
        return error.strerror or "not readable"
