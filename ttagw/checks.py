"""Checks of a configuration that need more than the configuration: routes, endpoints, certificates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ttagw.auth import keyfile
from ttagw.auth.issuers import faults as faults_of_issuer
from ttagw.config import Config, ConfigError, Finding
from ttagw.config.auth import SYMMETRIC
from ttagw.config.faults import Key
from ttagw.config.files import SHORTEST_SECRET, unreadable
from ttagw.config.instances import load_instances
from ttagw.core.pattern import Pattern, PatternError, Shape
from ttagw.core.rewrite import RewriteError
from ttagw.core.rewrite import compile as compile_rewrite
from ttagw.core.routing import conflicts
from ttagw.listen import ListenError, endpoint_from
from ttagw.store.make import check_url
from ttagw.upstream.tls import TlsFileError, client_options
from ttagw.wire.authorities import Authorities, AuthoritiesError


def routes(config: Config) -> list[Finding]:
    """Paths and rewrites that cannot be, and routes of which only the order decides or that can never answer."""
    findings: list[Finding] = []
    patterns = [Pattern(each.path, each.hosts, each.methods, each.headers) for each in config.routes]
    for index, (route, pattern) in enumerate(zip(config.routes, patterns, strict=True)):
        try:
            Shape(pattern)
            compile_rewrite(route.path, route.rewrite)
        except PatternError as error:
            findings.append((("routes", index, "path"), str(error)))
        except RewriteError as error:
            findings.append((("routes", index, "rewrite"), str(error)))
    if findings:
        return findings
    entries = [(pattern, route.name) for pattern, route in zip(patterns, config.routes, strict=True)]
    return [(("routes", index, "path"), sentence) for index, sentence in conflicts(entries)]


def certificates(config: Config) -> list[Finding]:
    """Certificates and keys for services that cannot be used; those that cannot be read have been found already."""
    findings: list[Finding] = []
    for name, service in config.services.items():
        tls = service.tls
        if tls is None or any(path and unreadable(path) for path in (tls.ca, tls.cert, tls.key)):
            continue
        hosts = [urlsplit(each.url).hostname for each in service.instances if each.url.startswith("https:")]
        try:
            client_options(hosts[0] or "" if hosts else "localhost", tls)
        except TlsFileError as error:
            findings.append((("services", name, "tls"), str(error)))
    return findings


def authorities(config: Config) -> list[Finding]:
    """Authorities for clients that cannot be used; a file that cannot be read has been found already."""
    path = config.auth.certificates.ca
    if not path or unreadable(path):
        return []
    try:
        Authorities(path)
    except AuthoritiesError as error:
        return [(("auth", "certificates", "ca"), str(error))]
    return []


def instance_files(config: Config) -> list[Finding]:
    """What is wrong in files of instances; those that cannot be read have been found already."""
    findings: list[Finding] = []
    for name, service in config.services.items():
        for index, instance in enumerate(service.instances):
            if instance.source == "file" and not unreadable(instance.path):
                try:
                    load_instances(instance.path)
                except ConfigError as error:
                    findings += [(("services", name, "instances", index), str(fault)) for fault in error.faults]
    return findings


def api_keys(config: Config) -> list[Finding]:
    """Everything that is wrong in the file of keys; one that cannot be read has been found already."""
    path = config.auth.api_keys.file
    if not path or unreadable(path):
        return []
    try:
        keyfile.load(path)
    except ConfigError as error:
        return [(("auth", "api_keys", "file"), str(fault)) for fault in error.faults]
    return []


def issuers(config: Config) -> list[Finding]:
    """Files of issuers that are no use; what can be told without looking into a file, or is too short for anything,
    has been found already.
    """
    findings: list[Finding] = []
    for index, issuer in enumerate(config.auth.issuers):
        path = issuer.secret_file or issuer.jwks_file
        if not path or unreadable(path) or (issuer.algorithms[0] in SYMMETRIC) != bool(issuer.secret_file):
            continue
        if issuer.secret_file and len(Path(path).read_bytes().strip()) < SHORTEST_SECRET:
            continue
        for key, error in faults_of_issuer(issuer):
            findings += [(("auth", "issuers", index, key), str(fault)) for fault in error.faults]
    return findings


def store(config: Config) -> list[Finding]:
    """A store that cannot be, whatever its server says."""
    try:
        check_url(config.gateway.store)
    except ValueError as error:
        return [(("gateway", "store"), str(error))]
    return []


def listeners(config: Config) -> list[Finding]:
    """Endpoints that cannot be made, certificates and keys included, and two that want the same place."""
    findings: list[Finding] = []
    taken: list[tuple[str, _Place]] = []
    for key, text in _endpoints(config):
        place = _place(text)
        rivals = [other for other, known in taken if place.meets(known)]
        if rivals:
            findings.append((key, f"{text}: the same place as {rivals[0]}"))
        taken.append((text, place))
        sentence = _useless(text)
        if sentence:
            findings.append((key, sentence))
    return findings


def _endpoints(config: Config) -> list[tuple[Key, str]]:
    found: list[tuple[Key, str]] = [
        (("gateway", "listen", place), text) for place, text in enumerate(config.gateway.listen)
    ]
    return [*found, (("gateway", "admin"), config.gateway.admin)] if config.gateway.admin else found


def _useless(text: str) -> str:
    """Why an endpoint cannot be made; "" if it can."""
    if text.startswith("systemd:"):
        return ""  # the socket is there only when systemd starts the daemon
    from twisted.internet import reactor  # the daemon has chosen one by now

    try:
        endpoint_from(reactor, text)
    except ListenError as error:
        return str(error)
    return ""


class _Place(NamedTuple):
    """Where an endpoint listens."""

    family: str
    number: str
    """Port or path; what has none of its own is never in another's way."""
    interface: str = ""

    def meets(self, other: _Place) -> bool:
        """Whether both cannot be listened on at once."""
        if self[:2] != other[:2] or self.number in ("", "0"):
            return False
        return self.interface == other.interface or "" in (self.interface, other.interface)


def _place(text: str) -> _Place:
    kind, number, *others = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", text)]
    if kind in ("unix", "systemd"):
        return _Place(kind, number if kind == "unix" else text)
    interface = next((each.partition("=")[2] for each in others if each.startswith("interface=")), "")
    family = "6" if kind == "tcp6" or ":" in interface else "4"
    return _Place(family, str(int(number)), "" if interface in ("0.0.0.0", "::") else interface)


def summary(config: Config) -> str:
    """How much there is in a configuration."""
    numbers = {
        "listener": len(config.gateway.listen) + bool(config.gateway.admin),
        "service": len(config.services),
        "route": len(config.routes),
    }
    return ", ".join([f"{number} {noun}" + ("" if number == 1 else "s") for noun, number in numbers.items()])


EXTRA = (routes, certificates, authorities, instance_files, api_keys, issuers, store, listeners)
"""What `load` is given besides its own checks."""
