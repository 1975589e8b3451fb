"""An identity provider that nobody here wrote, and a person who logs in there."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.integration.kit.process import Child
from tests.integration.kit.waiting import until

Document = Mapping[str, Any]

CLIENT, SECRET = "story", "s" * 32
"""The program that asks for tokens."""


class Provider:
    """Runs until it is stopped."""

    def __init__(self, folder: Path) -> None:
        child = Path(__file__).with_name("provider_child.py")
        python = Path(sys.prefix, "provider", "bin", "python")
        assert python.exists(), "make test makes an environment for the provider"
        self._child = Child([str(python), child, folder, CLIENT, SECRET], folder)
        port = folder / "port"
        until(lambda: port.exists() or not self._child.running(), "the identity provider serves or has ended")
        assert self._child.running(), self._child.errors.read_text()
        self.port = int(port.read_text())
        self.about = self.get("/.well-known/openid-configuration")
        """What it says about itself (OpenID Connect Discovery)."""

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def get(self, path: str) -> Document:
        """A document."""
        return self._ask("GET", path, None, {})

    def keys(self) -> list[Document]:
        """Its key set."""
        return list(self.get(urlsplit(self.about["jwks_uri"]).path)["keys"])

    def rotate(self) -> None:
        """Let it sign with a new key, and wait for that."""
        before = [each["kid"] for each in self.keys()]
        self._child.signal(signal.SIGUSR1)
        until(lambda: [each["kid"] for each in self.keys()] != before, "the provider has another key")

    def log_in(self, name: str) -> Document:
        """Tokens for a name and a password (RFC 6749 §4.3)."""
        scope = "openid profile groups"
        return self._token({"grant_type": "password", "username": name, "password": name * 2, "scope": scope})

    def refresh(self, tokens: Document) -> Document:
        """Further tokens (RFC 6749 §6)."""
        return self._token({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})

    def _token(self, form: Mapping[str, str]) -> Document:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        fields = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", urlsplit(self.about["token_endpoint"]).path, urlencode(form), fields)

    def _ask(self, method: str, path: str, body: str | None, fields: Mapping[str, str]) -> Document:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(fields))
            response = connection.getresponse()
            document: Document = json.loads(response.read())
            assert response.status == 200, document
            return document
        finally:
            connection.close()
