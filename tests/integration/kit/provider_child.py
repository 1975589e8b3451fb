"""An identity provider (Canaille: OpenID Connect by Authlib and joserfc) as a process.

`python FILE FOLDER CLIENT SECRET` writes its port to `FOLDER/port` once it serves. SIGUSR1 makes it sign with a new
key; the one before stays in its key set, as providers do it, until the next time.
"""

from __future__ import annotations

import datetime
import os
import signal
import sys
from pathlib import Path
from typing import Any

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

USERS = {"mira": "players", "noor": "clinicians", "zoe": "wizards"}
"""Who has an account, with the group they are in. The password is the name, twice."""


def new_key() -> dict[str, Any]:
    key = RSAKey.generate_key(2048, auto_kid=True)
    return dict(key.as_dict(private=True))


def configuration(port: int) -> dict[str, Any]:
    return {
        "SECRET_KEY": os.urandom(16).hex(),
        "PREFERRED_URL_SCHEME": "http",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [new_key()], "INACTIVE_JWKS": [], "REQUIRE_NONCE": False},
    }


def fill(client_id: str, secret: str) -> None:
    """People, their groups, and the program that they use."""
    client = models.Client(
        client_id=client_id,
        client_name="Story",
        client_secret=secret,
        client_uri="https://play.tta.example",
        client_id_issued_at=datetime.datetime.now(datetime.UTC),
        grant_types=["password", "refresh_token"],
        scope=["openid", "profile", "groups"],
        token_endpoint_auth_method="client_secret_basic",
        id_token_signed_response_alg="RS256",
    )
    Backend.instance.save(client)
    client.audience = [client]
    Backend.instance.save(client)
    for name, group in USERS.items():
        user = models.User(user_name=name, family_name=name.title(), emails=[f"{name}@tta.example"], password=name * 2)
        Backend.instance.save(user)
        Backend.instance.save(models.Group(display_name=group, members=[user]))


def main(folder: Path, client_id: str, secret: str) -> None:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    apps: list[Any] = []
    server = make_server("127.0.0.1", 0, lambda environ, start: apps[0](environ, start), threaded=True)
    app = create_app(config=configuration(server.port), env_file="/nowhere", env_prefix="TTAGW_TEST_PROVIDER_")
    apps.append(app)
    with app.app_context():
        fill(client_id, secret)

    def rotate(*_: object) -> None:
        keys = app.config["CANAILLE_OIDC"]
        keys["INACTIVE_JWKS"], keys["ACTIVE_JWKS"] = keys["ACTIVE_JWKS"], [new_key()]

    signal.signal(signal.SIGUSR1, rotate)
    told = folder / "port.tmp"
    told.write_text(str(server.port))
    told.rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
