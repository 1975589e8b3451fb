"""Checks of a configuration that need more than the configuration: routes, endpoints, certificates."""

from __future__ import annotations

from urllib.parse import urlsplit

from ttagw.config import Config, Finding
from ttagw.core.pattern import Pattern, PatternError, Shape
from ttagw.core.rewrite import RewriteError
from ttagw.core.rewrite import compile as compile_rewrite
from ttagw.core.routing import conflicts
from ttagw.upstream.tls import TlsFileError, client_options


def routes(config: Config) -> list[Finding]:
    """Paths, rewrites and hosts that cannot be, and routes of which only the order decides or that can never answer."""
    findings: list[Finding] = []
    for index, route in enumerate(config.routes):
        try:
            Shape(Pattern(route.path, route.hosts, route.methods, route.headers))
            compile_rewrite(route.path, route.rewrite)
        except PatternError as error:
            findings.append((("routes", index, "path"), str(error)))
        except RewriteError as error:
            findings.append((("routes", index, "rewrite"), str(error)))
    if not findings:
        entries = [(Pattern(each.path, each.hosts, each.methods, each.headers), each.name) for each in config.routes]
        findings = [(("routes", index), sentence) for index, sentence in conflicts(entries)]
    return findings


def certificates(config: Config) -> list[Finding]:
    """Certificates and keys for services that cannot be used."""
    findings: list[Finding] = []
    for name, service in config.services.items():
        if service.tls is not None:
            host = next(
                (urlsplit(each.url).hostname for each in service.instances if each.url.startswith("https:")), None
            )
            try:
                client_options(host or "localhost", service.tls)
            except TlsFileError as error:
                findings.append((("services", name, "tls"), str(error)))
    return findings


EXTRA = (routes, certificates)
"""What `load` is given besides its own checks."""
