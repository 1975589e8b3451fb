"""A configuration with issuers, keys and routes of every kind, and what `ttagw explain` says about requests to it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

import jwt
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from ttagw.auth import keyfile
from ttagw.auth.argon2 import hashed
from ttagw.cli import main

ISSUER = "https://auth.tta.example"
OTHER = "https://other.example"
SECRET = b"a secret that has forty bytes, all in all"
KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())

TEXT = """
[services.player-experience]
instances = ["http://h"]
[services.core-gameplay]
instances = ["http://h"]
fallback = "help"
[fallbacks.help]
status = 503
default_region = "US"
[fallbacks.help.regions.US]
text = "Call 988."

[[routes]]
name = "player"
path = "/api/v1/players/{player}/*"
methods = ["GET"]
service = "player-experience"
rewrite = "/v1/players/{player}/*"
owner = "player"
timeout = "90s"
set_request_headers = { "x-set" = "ours" }
[[routes]]
name = "all-players"
path = "/api/v1/*"
service = "player-experience"
auth = "none"
[[routes]]
name = "sessions"
path = "/sessions"
split = { core-gameplay = 5, player-experience = 5 }
auth = "optional"
[[routes]]
name = "clinic"
path = "/clinic"
service = "core-gameplay"
roles = ["therapist", "admin"]
permissions = ["view_patient_progress", "export"]
mfa = true
[[routes]]
name = "tried"
path = "/tried"
service = "player-experience"
roles = ["admin"]
dry_run = true
"""


def token(key: Any = KEY, kid: str | None = "k1", algorithm: str = "ES256", **claims: Any) -> str:
    """A token as `ISSUER` makes them; None takes a claim out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": "tta", "sub": "7", "role": "player", "iat": now, "exp": now + 600, **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid} if kid else None)


def key_set() -> str:
    """The keys of `ISSUER`."""
    return json.dumps({"keys": [{**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1"}]})


@dataclass
class Place:
    """A folder with all of it."""

    folder: Path
    keys: str = 'jwks_file = "jwks.json"'
    more: str = ""
    api_key: str = field(init=False, default="")

    def __post_init__(self) -> None:
        (self.folder / "jwks.json").write_text(key_set())
        (self.folder / "secret").write_bytes(SECRET)
        self.api_key = keyfile.new_key("nightly", b"n" * 32)
        keyfile.add(
            self.folder / "keys.toml", "nightly", hashed(self.api_key.encode()), ("service",), ("export", "register:a")
        )
        self.write()

    @property
    def file(self) -> Path:
        return self.folder / "ttagw.toml"

    def write(self, text: str = TEXT) -> None:
        """The configuration, once more."""
        self.file.write_text(
            f'{text}[[auth.issuers]]\nissuer = "{ISSUER}"\naudience = ["tta"]\nalgorithms = ["ES256"]\n{self.keys}\n'
            'role_map = { player = "patient", clinician = "therapist" }\n'
            f'[[auth.issuers]]\nissuer = "{OTHER}"\nalgorithms = ["HS256"]\nsecret_file = "secret"\n'
            'user_prefix = "other:"\n'
            f'[auth.api_keys]\nfile = "keys.toml"\n{self.more}'
        )

    def run(self, request: str, *arguments: str, given: str | None = None) -> Result:
        """The command in this process."""
        return CliRunner().invoke(main, ["explain", str(self.file), request, *arguments], input=given)

    def explain(self, request: str, *arguments: str) -> Explanation:
        """What it says, for programs and for people alike."""
        result = self.run(request, "--json", *arguments)
        assert not result.stderr, result.stderr
        plain = self.run(request, *arguments)
        assert plain.exit_code == result.exit_code
        return Explanation(result.exit_code, json.loads(result.stdout), plain.stdout)


@dataclass
class Explanation:
    """The answer to one question."""

    status: int
    document: dict[str, Any]
    text: str

    @property
    def last(self) -> str:
        return self.text.splitlines()[-1]

    def rows(self, part: str, name: str) -> list[tuple[str, str]]:
        """Value and note of every such step."""
        return [
            (each["value"], each["note"])
            for each in self.document["steps"]
            if (each["part"], each["name"]) == (part, name)
        ]

    def row(self, part: str, name: str) -> tuple[str, str]:
        """Of the only one."""
        (found,) = self.rows(part, name)
        return found

    def met(self) -> dict[str, bool | None]:
        """What is asked for, and whether it is there."""
        return {each["name"]: each["met"] for each in self.document["steps"] if each["part"] == "requirement"}


class Web:
    """Answers every GET with this, and counts them."""

    def __init__(self, body: str, status: int = 200, location: str = "") -> None:
        web = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked += 1
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self.asked = 0
        self._server = HTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def __enter__(self) -> Web:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
