"""`[auth]`: who is asking."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ttagw.config.base import Listing, Name, NotEmpty, OptionalWebUrl, Section, Texts
from ttagw.config.gateway import MANY
from ttagw.config.units import Duration, DurationOrNone

SYMMETRIC = ("HS256", "HS384", "HS512")

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


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
    """Or the file with the secret it shares with us, 32 bytes or more."""
    jwks_refresh: Duration = 600.0
    """How old its keys may get."""
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

    permissions: Texts = ()
    """Its own permissions."""
    inherits: Texts = ()
    """Roles whose permissions it has as well."""


class ApiKeys(Section):
    """Callers that are programs."""

    file: str = ""
    """TOML file of names, hashes, roles and permissions, made by `ttagw key new` and read again when it changes; "" is
    none."""


class UpstreamProof(Section):
    """How services know that a request came through this gateway."""

    secret_file: str = ""
    """The secret that `X-TTA-Assertion` is signed with; "" sends none."""


class Auth(Section):
    """Tokens, keys, roles."""

    leeway: DurationOrNone = 30.0
    """How far clocks may differ."""
    cache: int = Field(default=10000, ge=0, le=MANY)
    """Verified tokens that are kept."""
    query_token: str = "access_token"  # noqa: S105 - the name of a parameter
    """Query parameter with the token, for sockets only; "" is off."""
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
