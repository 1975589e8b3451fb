"""`[auth]`: who is asking."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ttagw.config.base import Listing, Matches, Name, NotEmpty, OptionalName, OptionalWebUrl, Section, Texts
from ttagw.config.gateway import MANY
from ttagw.config.units import Duration, DurationOrNone
from ttagw.core.identity import WORD

MOST_FAILURES = 100
"""Failed logins before a pause: what counts is kept for every address and account."""

SYMMETRIC = ("HS256", "HS384", "HS512")

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]

Word = Annotated[str, Matches(WORD.pattern, 'a permission such as "manage_users" or "register:core-gameplay"')]
"""A permission: services get it in a header field."""


def _not_mixed(values: tuple[Algorithm, ...]) -> tuple[Algorithm, ...]:
    if len({value in SYMMETRIC for value in values}) > 1:
        raise ValueError("expected either HMAC or asymmetric algorithms for one issuer, got both")
    return values


class Issuer(Section):
    """Somebody whose tokens are accepted."""

    issuer: str
    """What its tokens have as `iss`."""
    audience: Texts = ()
    """What its tokens must have one of as `aud`."""
    algorithms: Annotated[Listing[Algorithm], NotEmpty, AfterValidator(_not_mixed)] = ("RS256", "ES256", "EdDSA")
    """The algorithms its tokens may be signed with; HMAC and asymmetric ones never together."""
    jwks_url: OptionalWebUrl = ""
    """Where its keys are."""
    jwks_file: str = ""
    """Or the file they are in."""
    secret_file: str = ""
    """Or the file with the secret it shares with us: 32 bytes or more for HS256, 48 for HS384, 64 for HS512."""
    jwks_refresh: Duration = 600.0
    """How old its keys may get."""
    user_prefix: Annotated[str, Matches(r"[\x21-\x7e]{0,64}", 'up to 64 printable characters, such as "partner:"')] = ""
    """What is put before its `sub` to make the user: without it the same `sub` of two issuers is the same person."""
    role_claim: str = "role"
    """The claim with the role."""
    role_map: dict[str, str] = Field(default_factory=dict)
    """Its names for roles, and ours."""
    permissions_claim: str = "permissions"
    """The claim with further permissions."""
    care_claim: str = "patients"
    """The claim with the ids of the people that the caller cares for."""


class Role(Section):
    """What a role may do."""

    permissions: Listing[Word] = ()
    """Its own permissions."""
    inherits: Texts = ()
    """Roles whose permissions it has as well."""
    break_glass: bool | None = None
    """Whether it may break the glass: reach somebody it does not care for, with a reason, for a while. Default: only
    `therapist`."""


class ApiKeys(Section):
    """Callers that are programs."""

    file: str = ""
    """TOML file of names, hashes, roles and permissions, made by `ttagw key new` and read again when it changes; "" is
    none."""


class Client(Section):
    """A program that shows a certificate."""

    name: Name
    """What it is called here; its `X-User-ID`."""
    match: Annotated[
        str,
        Matches(
            r"(?:dns|uri|email):[\x21-\x7e]+|(?:cn|subject):[\x20-\x7e]+",
            "one of dns:NAME, uri:URI, email:ADDRESS (from the alternative names), cn:NAME, subject:DN such as "
            '"subject:CN=core-gameplay,O=TTA"',
        ),
    ]
    """What its certificate says: `dns:`, `uri:` or `email:` and an alternative name, `cn:` and the common name of a
    certificate without alternative names, or `subject:` and the whole subject (RFC 4514)."""
    roles: Listing[Name] = ("service",)
    """What it may do, by role."""
    permissions: Listing[Word] = ()
    """And by permission."""


class Certificates(Section):
    """Callers that show certificates, at every `ssl:` listener."""

    ca: str = ""
    """PEM file of the authorities whose certificates are accepted; "" asks nobody for one."""
    clients: Listing[Client] = ()
    """Who they are. A good certificate of nobody here is none."""


class Care(Section):
    """Where to ask who cares for whom, when a token does not say so."""

    service: OptionalName = ""
    """The service that is asked; "" is none. It answers 2xx for yes, 403 or 404 for no."""
    path: Annotated[
        str,
        Matches(r"/[\x21\x24-\x3e\x40-\x7e]*", 'a path with {caller} and {person}, such as "/care/{caller}/{person}"'),
    ] = "/care/{caller}/{person}"
    """What it is asked for, by GET."""
    timeout: Duration = 1.0
    """How long it may take; no answer is no access."""
    cache: DurationOrNone = 60.0
    """How long its answer is good for; a no for 10 s at the most."""


class BreakGlass(Section):
    """Access to somebody whom the caller does not care for, in an emergency."""

    lasts: Duration = 900.0
    """How long it is open after a reason was given and recorded, at every gateway that shares the store."""
    most: int = Field(default=20, ge=1, le=1000)
    """How many people one caller may reach this way at the same time."""


class Lockout(Section):
    """What failed logins lead to, for an address and for an account, on routes with `login`."""

    failures: int = Field(default=5, ge=1, le=MOST_FAILURES)
    """So many"""
    window: Duration = 900.0
    """in so long"""
    lasts: Duration = 1800.0
    """pause it for so long."""


class UpstreamProof(Section):
    """How services know that a request came through this gateway."""

    secret_file: str = ""
    """The secret that `X-TTA-Assertion` is signed with, 32 bytes or more, read again when the file changes; "" sends
    none."""


class Auth(Section):
    """Tokens, keys, roles."""

    leeway: DurationOrNone = 30.0
    """How far clocks may differ."""
    cache: int = Field(default=10000, ge=0, le=MANY)
    """Verified tokens that are kept."""
    query_token: str = "access_token"  # noqa: S105 - the name of a parameter
    """Query parameter with the token, for sockets only, and never forwarded; "" is off."""
    forward_token: bool = False
    """Whether services get the token."""
    issuers: Listing[Issuer] = ()
    """Whose tokens are accepted."""
    roles: dict[Name, Role] = Field(default_factory=dict)
    """What roles may do."""
    api_keys: ApiKeys = ApiKeys()
    """Callers that are programs."""
    upstream: UpstreamProof = UpstreamProof()
    """Proof for services."""
    longest_life: Duration = 30 * 86400.0
    """How far off the end of a token may be; one that never ends is not accepted."""
    certificates: Certificates = Certificates()
    """Callers that show certificates."""
    care: Care = Care()
    """Who cares for whom."""
    break_glass: BreakGlass = BreakGlass()
    """Access in an emergency."""
    lockout: Lockout = Lockout()
    """Failed logins."""
