"""What only the admin API answers."""

from __future__ import annotations

from collections.abc import Sequence

from ttagw.errors.base import Blame, GatewayError


class InvalidDocumentError(GatewayError):
    """A document of the admin API that is not JSON, or does not have the right form; `errors` says where."""

    status = 400
    code = "invalid_document"
    title = "This document could not be used"
    detail = "The document does not have the form that is expected here; the list says where."
    blame = Blame.CLIENT

    def __init__(self, reason: str = "", *, errors: Sequence[tuple[str, str]] = ()) -> None:
        """`errors`: fields, and a sentence about each."""
        super().__init__(reason)
        self.errors = tuple(errors)


class LimitNotFoundError(GatewayError):
    """The admin API was asked about a limit that is not configured."""

    status = 404
    code = "limit_not_found"
    title = "There is no such limit"
    detail = "No limit has this name."
    blame = Blame.CLIENT


class ServiceNotFoundError(GatewayError):
    """The admin API was asked about a service that does not exist."""

    status = 404
    code = "service_not_found"
    title = "There is no such service"
    detail = "No service has this name."
    blame = Blame.CLIENT


class InstanceNotFoundError(GatewayError):
    """The admin API was asked about an instance that is not registered, or whose lease has run out."""

    status = 404
    code = "instance_not_found"
    title = "There is no such instance"
    detail = "No instance of this service has this id. One that renews its lease registers again."
    blame = Blame.CLIENT


class InstanceConflictError(GatewayError):
    """Another instance has this id or this address, and does not belong to whoever asks."""

    status = 409
    code = "instance_conflict"
    title = "Another instance has this place"
    detail = "Another instance has this id or this address, so it was not changed."
    blame = Blame.CLIENT


class RegistryFullError(GatewayError):
    """As many instances have registered as there is room for."""

    status = 503
    code = "registry_full"
    title = "There is no room for more instances"
    detail = "As many instances are known as there is room for, so this one was not added."


class MediaTypeError(GatewayError):
    """A document of the admin API that does not say that it is JSON."""

    status = 415
    code = "unsupported_media_type"
    title = "This kind of document is not read here"
    detail = "Documents are read as application/json, and without a Content-Encoding."
    blame = Blame.CLIENT


class TooManyReadersError(GatewayError):
    """As many follow the events as there is room for."""

    status = 503
    code = "too_many_readers"
    title = "Many people are following the events"
    detail = "There is no room for another reader of the events at the moment. Please try again shortly."


class NotInTimeError(GatewayError):
    """What the admin API was asked for was not done in time; it may be done still."""

    status = 503
    code = "not_in_time"
    title = "This takes longer than it should"
    detail = "It was not done in time. It is safe to ask again."


class RevocationNotFoundError(GatewayError):
    """The admin API was asked to lift a revocation that is not in effect."""

    status = 404
    code = "revocation_not_found"
    title = "This is not revoked"
    detail = "Nothing of this kind and id is revoked, so there was nothing to lift."
    blame = Blame.CLIENT


class RevocationsFullError(GatewayError):
    """As many tokens and keys are revoked as there is room for."""

    status = 503
    code = "revocations_full"
    title = "There is no room for more revocations"
    detail = "As much is revoked as there is room for, so this was not added. Revoking by user takes one place for all."


class MarksFullError(GatewayError):
    """As many sessions are marked as there is room for."""

    status = 503
    code = "marks_full"
    title = "There is no room for more marks"
    detail = "As many sessions are marked as there is room for, so this one was not added."


class BlockNotFoundError(GatewayError):
    """Nobody of that name is blocked."""

    status = 404
    code = "block_not_found"
    title = "This is not blocked"
    detail = "Neither the address nor the user is blocked under that name, so there is nothing to lift."
    blame = Blame.CLIENT


class BlocksFullError(GatewayError):
    """No further block can be kept."""

    status = 503
    code = "blocks_full"
    title = "There is no room for more blocks"
    detail = "As many blocks are kept as there is room for, and operators have made all of them."


class NotStoredError(GatewayError):
    """Something that counts only when it is stored durably was not; nothing is in effect by it."""

    status = 503
    code = "not_stored"
    title = "This could not be stored right now"
    detail = "The store did not take it, so nothing was changed. It is safe to ask again."
