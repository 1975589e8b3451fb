"""Files that a configuration names: made absolute, and looked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ttagw.config.faults import Finding, Key
from ttagw.config.model import Config

SHORTEST_SECRET = 32
"""Bytes of a secret that is shared with an issuer (RFC 7518 §3.2)."""

_TLS = ("ca", "cert", "key")


def absolute(document: dict[str, Any], folder: Path) -> None:
    """Make the paths of a parsed document absolute, in place; relative ones begin at `folder`."""
    for table, name in _places(document):
        value = table.get(name)
        if isinstance(value, str) and value and value != "-":
            table[name] = str(folder / value)
    for service in _tables(document.get("services")):
        instances = service.get("instances")
        if isinstance(instances, list):
            service["instances"] = [_file(each, folder) for each in instances]


def _file(instance: Any, folder: Path) -> Any:
    """An instance, the path of its URL absolute if it has one."""
    if isinstance(instance, dict) and "url" in instance:
        return {**instance, "url": _file(instance["url"], folder)}
    path = instance[len("file:") :] if isinstance(instance, str) and instance.startswith("file:") else ""
    return f"file:{folder / path}" if path and not path.startswith("//") else instance


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
        yield from _in(auth.get("certificates"), "ca")
    for route in _tables(document.get("routes")):
        yield route, "validate"
    safety = document.get("safety")
    yield from _in(safety, "lexicon")
    yield from _in(safety.get("alerts") if isinstance(safety, dict) else None, "secret_file")
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
    named: list[tuple[Key, str]] = []
    for name, service in config.services.items():
        if service.tls is not None:
            named += [(("services", name, "tls", key), getattr(service.tls, key)) for key in _TLS]
        named += [(("services", name, "instances", index), each.path) for index, each in enumerate(service.instances)]
    for index, issuer in enumerate(config.auth.issuers):
        named += [(("auth", "issuers", index, key), getattr(issuer, key)) for key in ("jwks_file", "secret_file")]
    named.append((("auth", "api_keys", "file"), config.auth.api_keys.file))
    named.append((("auth", "upstream", "secret_file"), config.auth.upstream.secret_file))
    named.append((("auth", "certificates", "ca"), config.auth.certificates.ca))
    named.append((("audit", "pseudonym_key_file"), config.audit.pseudonym_key_file))
    named.append((("safety", "lexicon"), config.safety.lexicon))
    named.append((("safety", "alerts", "secret_file"), config.safety.alerts.secret_file))
    named += [(("routes", index, "validate"), route.validate_) for index, route in enumerate(config.routes)]
    findings = [
        (key, f"{path}: cannot be read: {fault}") for key, path in named if (fault := path and unreadable(path))
    ]
    for index, issuer in enumerate(config.auth.issuers):
        findings += _short(("auth", "issuers", index, "secret_file"), issuer.secret_file)
    findings += _short(("safety", "alerts", "secret_file"), config.safety.alerts.secret_file)
    findings += _short(("auth", "upstream", "secret_file"), config.auth.upstream.secret_file)
    access = Path(config.log.access.replace("\0", "?"))
    if "\0" in config.log.access:
        findings.append((("log", "access"), "a name cannot hold a NUL"))
    elif config.log.access != "-" and not access.parent.is_dir():
        findings.append((("log", "access"), f"{access}: there is no folder {access.parent}"))
    return findings


def unreadable(path: str) -> str:
    """Why a file cannot be read; "" if it can."""
    if "\0" in path:
        return "a name cannot hold a NUL"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.strerror or "not readable"
    # Not by opening it: what is a pipe would keep us waiting.
    if not stat.S_ISREG(mode):
        return "not a file"
    return "" if os.access(path, os.R_OK) else "Permission denied"


def _short(key: Key, path: str) -> list[Finding]:
    if not path or unreadable(path) or len(Path(path).read_bytes().strip()) >= SHORTEST_SECRET:
        return []
    return [(key, f"{path}: expected a secret of {SHORTEST_SECRET} bytes or more")]
