"""Who may: credentials that are missing, refused, or not enough."""

from __future__ import annotations

from typing import ClassVar

from ttagw.errors.base import Blame, GatewayError


class CredentialsRequiredError(GatewayError):
    """Nobody has said who is asking."""

    status = 401
    code = "credentials_required"
    title = "Please say who is asking"
    detail = "This needs a key. It is sent as Authorization: Bearer KEY."
    blame = Blame.CLIENT
    challenge: ClassVar[bytes] = b"Bearer"
    """`WWW-Authenticate` (RFC 6750 §3)."""

    def __init__(self, reason: str = "", *, detail: str = "") -> None:
        super().__init__(reason, detail=detail, fields=((b"www-authenticate", self.challenge),))


class CredentialsRefusedError(CredentialsRequiredError):
    """A key that is not known, no longer or never."""

    code = "credentials_refused"
    title = "This key is not known here"
    detail = "The key that was sent is not known here, or its time is over."
    challenge = b'Bearer error="invalid_token"'


class NotAllowedError(GatewayError):
    """It is known who is asking, and that is not enough."""

    status = 403
    code = "not_allowed"
    title = "This is for others to do"
    detail = "This key does not have what is needed for this."
    blame = Blame.CLIENT


class TooManyRefusalsError(GatewayError):
    """One address has sent too many keys that are not known."""

    status = 429
    code = "too_many_refusals"
    title = "This is a good moment for a pause"
    detail = "Several keys from this address were not known. Please wait a little before the next one."
    blame = Blame.CLIENT


class CheckingBusyError(GatewayError):
    """As many keys are being checked, or wait for it, as there is room for."""

    status = 503
    code = "checking_busy"
    title = "Many keys are being checked right now"
    detail = "This key could not be checked at the moment. Please try again shortly."
