"""`[auth.certificates]`: what only shows when its keys are looked at together."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from ttagw.config.faults import Finding, Key
from ttagw.config.model import Config
from ttagw.core.rbac import PERMISSIONS

_PLACE: Key = ("auth", "certificates")


def check(config: Config) -> Iterator[Finding]:
    """Clients that nobody can be."""
    section = config.auth.certificates
    if section.clients and not section.ca:
        yield (*_PLACE, "clients"), "needs ca: without it nobody is asked for a certificate"
    roles = {*PERMISSIONS, *config.auth.roles}
    seen: dict[str, int] = {}
    for index, client in enumerate(section.clients):
        place = (*_PLACE, "clients", index)
        kind, _, value = client.match.partition(":")
        first = seen.setdefault(client.match.lower() if kind == "dns" else client.match, index)
        if first != index:
            yield (*place, "match"), f"the same as that of clients[{first}], which comes first"
        if kind == "dns" and "*" in value:
            yield (*place, "match"), "a wildcard is the name of nobody in particular, and never matches"
        if kind == "subject" and not _is_subject(value):
            yield (
                (*place, "match"),
                'expected a subject as RFC 4514 writes it, such as "CN=core-gameplay,O=TTA"',
            )
        for number, role in enumerate(client.roles):
            if role not in roles:
                yield (*place, "roles", number), f'there is no role "{role}"'


def _is_subject(value: str) -> bool:
    """Whether it is just as certificates are compared: no other spelling of the same subject would match."""
    try:
        return x509.Name.from_rfc4514_string(value).rfc4514_string() == value
    except ValueError:
        return False


def notices(config: Config) -> Iterator[Finding]:
    """What has no effect."""
    section = config.auth.certificates
    if section.ca and not any(text.startswith("ssl:") for text in config.gateway.listen):
        yield (*_PLACE, "ca"), "has no effect: certificates are shown at ssl: listeners, and gateway.listen has none"
    if section.ca and not section.clients:
        yield (
            (*_PLACE, "ca"),
            "lets nobody in: clients says of no certificate whose it is",
        )
