"""Who is asking, once it has been verified."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ttagw.core.classes import TrafficClass, session_key

USER = re.compile(r"[\x21-\x7e]{1,255}")
"""What can be the id of a person or a program: printable ASCII without spaces (OpenID Connect Core §2: up to 255)."""
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
"""What can be a role or a permission."""


class Identity:
    """One verified caller. Shared between requests: read only."""

    __slots__ = (
        "begins",
        "claims",
        "ends",
        "issued",
        "issuer",
        "kind",
        "lines",
        "mark",
        "mfa",
        "people",
        "permissions",
        "rank",
        "roles",
        "session",
        "token_id",
        "user",
    )

    def __init__(
        self,
        kind: str,
        user: str,
        roles: Iterable[str],
        permissions: Iterable[str],
        *,
        session: str = "",
        people: Iterable[str] = (),
        mfa: bool = False,
        issuer: str = "",
        token_id: str = "",
        issued: float = 0.0,
        begins: float = 0.0,
        ends: float = float("inf"),
        claims: dict[str, str] | None = None,
        rank: TrafficClass = TrafficClass.LOW,
    ) -> None:
        """`user` and `session` fit `USER`, roles and permissions fit `WORD`: whoever makes an identity has checked it.

        Times are Unix seconds: issued, usable from, usable until (the leeway is in the last two).
        """
        self.kind = kind
        """`token`, `key` or `certificate`."""
        self.user = user
        self.roles = frozenset(roles)
        self.permissions = frozenset(permissions)
        self.session = session
        self.people = frozenset(people)
        """The ids of those whom the caller cares for."""
        self.mfa = mfa
        """Whether a second factor was verified."""
        self.issuer = issuer
        self.token_id = token_id
        self.issued = issued
        self.begins = begins
        self.ends = ends
        self.claims = claims or {}
        """Further claims that something here is configured to look at."""
        self.rank = rank
        """The traffic class that verified claims speak for."""
        self.mark = session_key(session) if session else ""
        """By what a mark on the session is found."""
        self.lines = _lines(self)
        """The fields for services, each ended by CR LF, names in lower case."""

    def __repr__(self) -> str:
        # It may come to stand in a traceback: nothing in it is about the person.
        return f"<{self.kind} of {len(self.roles)} roles>"


def _lines(identity: Identity) -> bytes:
    session = f"x-therapeutic-session-id: {identity.session}\r\n" if identity.session else ""
    return (
        f"x-user-id: {identity.user}\r\nx-user-role: {','.join(sorted(identity.roles))}\r\n"
        f"x-user-permissions: {','.join(sorted(identity.permissions))}\r\n{session}"
    ).encode("ascii")
