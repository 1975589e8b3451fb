"""Who may: credentials that are missing, refused, or not enough."""

from __future__ import annotations

from typing import ClassVar

from ttagw.errors.base import Blame, GatewayError


class CredentialsRequiredError(GatewayError):
    """Nobody has said who is asking."""

    status = 401
    code = "credentials_required"
    title = "Please say who is asking"
    detail = "This needs a token or a key. It is sent as Authorization: Bearer and the token or key."
    blame = Blame.CLIENT
    challenge: ClassVar[bytes] = b'Bearer realm="tta"'
    """`WWW-Authenticate` (RFC 6750 §3)."""

    def __init__(self, reason: str = "", *, detail: str = "") -> None:
        super().__init__(reason, detail=detail, fields=((b"www-authenticate", self.challenge),))


class CredentialsRefusedError(CredentialsRequiredError):
    """A key that is not known, no longer or never."""

    code = "credentials_refused"
    title = "This key is not known here"
    detail = "The key that was sent is not known here, or its time is over."
    challenge = b'Bearer realm="tta", error="invalid_token"'


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


class CredentialsTwiceError(GatewayError):
    """More than one credential, or one that has not the form of any (RFC 6750 §3.1, `invalid_request`)."""

    status = 400
    code = "credentials_unclear"
    title = "It is not clear who is asking"
    detail = "One token or key is expected, as Authorization: Bearer TOKEN or as X-API-Key, and not more than one."
    blame = Blame.CLIENT

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason, fields=((b"www-authenticate", b'Bearer realm="tta", error="invalid_request"'),))


class TokenRefusedError(CredentialsRequiredError):
    """A token that is not good; `reason` says why in the log, and only there."""

    code = "token_refused"
    title = "This token does not open anything here"
    detail = "The token that was sent cannot be accepted. Signing in again gives a new one."
    challenge = b'Bearer realm="tta", error="invalid_token"'


class TokenExpiredError(TokenRefusedError):
    """A token that was good, and whose time is over."""

    code = "token_expired"
    title = "It is time to sign in again"
    detail = "The time of the token that was sent is over. A refresh, or signing in again, gives a new one."
    challenge = b'Bearer realm="tta", error="invalid_token", error_description="The token expired"'


class AccessRefusedError(NotAllowedError):
    """It is known who is asking, and a role, a permission, a second factor or a relationship is missing.

    What is missing is said in the member `missing`, such as "role: therapist or admin". Whether the thing that was
    asked for exists is never looked at.
    """

    code = "access_refused"
    title = "This is not open to this account"
    detail = "Something that this address asks for is missing."

    def __init__(self, reason: str = "", missing: str = "", detail: str = "", scope: str = "") -> None:
        """`scope`: the permissions that would be enough (RFC 6750 §3, `scope`)."""
        challenge = 'Bearer realm="tta", error="insufficient_scope"' + (f', scope="{scope}"' if scope else "")
        super().__init__(
            reason,
            detail=detail,
            fields=((b"www-authenticate", challenge.encode("ascii")),),
            more={"missing": missing},
        )


class GlassReasonError(GatewayError):
    """An `X-Break-Glass-Reason` that is none."""

    status = 400
    code = "break_glass_reason"
    title = "A reason is needed"
    detail = "X-Break-Glass-Reason is a sentence of 10 to 500 printable characters that says why."
    blame = Blame.CLIENT


class GlassLimitError(GatewayError):
    """One caller reaches as many people by breaking the glass as they may at the same time."""

    status = 429
    code = "break_glass_limit"
    title = "Several people are open already"
    detail = "As many people as possible at the same time are open to this account; the first of them closes by itself."
    blame = Blame.CLIENT


class IdentityUnknownError(GatewayError):
    """Whether a credential is good could not be found out: nobody is let in by that."""

    status = 503
    code = "identity_unknown"
    title = "Who is asking cannot be checked right now"
    detail = "What is needed to check the token or key cannot be reached at the moment. Please try again shortly."


class AccessUnknownError(GatewayError):
    """Whether somebody may could not be found out, or not be recorded: nobody is let in by that."""

    status = 503
    code = "access_unknown"
    title = "Access cannot be checked right now"
    detail = "Whether this account may do this cannot be found out at the moment. Please try again shortly."


class LoginRefusedError(GatewayError):
    """A login that the service refused, for whatever reason: all of them look the same."""

    status = 401
    code = "login_refused"
    title = "That did not work"
    detail = "The name and what was sent with it do not fit together. Please try again."
    blame = Blame.CLIENT

    def __init__(self, reason: str = "") -> None:
        # Every 401 has a challenge (RFC 9110 §15.5.2); this one makes no browser ask for a password of its own.
        super().__init__(reason, fields=((b"www-authenticate", CredentialsRequiredError.challenge),))


class LoginPausedError(GatewayError):
    """Too many logins have failed from this address or for this name, whether it exists or not."""

    status = 429
    code = "login_paused"
    title = "This is a good moment for a pause"
    detail = "Several attempts did not work. Signing in is possible again after the time that Retry-After says."
    blame = Blame.CLIENT


class LoginUnclearError(GatewayError):
    """A login of which services may differ in whom it names, so it cannot be said for whom a failure would count."""

    status = 400
    code = "login_unclear"
    title = "It is not clear who is signing in"
    detail = "What was sent is no JSON object and no form that names one account, so it was not passed on."
    blame = Blame.CLIENT


class LoginKindError(GatewayError):
    """A login that is compressed, or neither JSON nor a form by what it says of itself."""

    status = 415
    code = "login_kind"
    title = "Signing in works in another form"
    detail = "A login is sent as JSON or as application/x-www-form-urlencoded, in UTF-8 and not compressed."
    blame = Blame.CLIENT
