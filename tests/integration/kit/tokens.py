"""An issuer that shares a secret with the gateway, and its tokens."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import jwt


class Issuer:
    """Issues tokens; its secret is in `folder`."""

    name = "https://issuer.test"

    def __init__(self, folder: Path) -> None:
        self._secret = os.urandom(32).hex()
        self._file = folder / "issuer.secret"
        self._file.write_text(self._secret)

    @property
    def section(self) -> dict[str, Any]:
        """One of `[[auth.issuers]]`."""
        return {"issuer": self.name, "secret_file": str(self._file), "algorithms": ["HS256"]}

    def token(self, user: str, role: str = "patient", **claims: Any) -> str:
        """A token of this person, good for half an hour."""
        now = int(time.time())
        usual = {"iss": self.name, "sub": user, "role": role, "iat": now, "exp": now + 1800}
        return jwt.encode({**usual, **claims}, self._secret, algorithm="HS256")
