"""`[audit]`, `[log]`, `[metrics]`, `[tracing]`, `[dashboard]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ttagw.config.base import Matches, OptionalWebUrl, Section
from ttagw.config.units import Duration


class Audit(Section):
    """The audit trail."""

    path: str = "audit.jsonl"
    """Its file."""
    pseudonym_key_file: str = ""
    """The key that makes pseudonyms of user ids."""
    retention: Duration = 7 * 365 * 86400.0
    """How long it is kept."""


class Log(Section):
    """The access log, and how much the daemon says."""

    access: Annotated[str, Matches(r".+", 'a path, or "-" for standard output')] = "-"
    """The access log: `-` for standard output, or a path, opened anew on SIGHUP and SIGUSR1. A relative path
    begins at the folder of the configuration file."""
    format: Literal["json", "combined"] = "json"
    """`json` or `combined`."""
    level: Literal["debug", "info", "warn", "error", "critical"] = "info"
    """The least that the application log tells: `debug`, `info`, `warn`, `error` or `critical`."""


class MetricsSection(Section):
    """Prometheus."""

    enabled: bool = True
    """Whether the admin port has `/metrics`."""


class Tracing(Section):
    """Traces."""

    endpoint: OptionalWebUrl = ""
    """OTLP/HTTP collector such as `http://127.0.0.1:4318`; "" is none."""
    sample: float = Field(default=0.1, ge=0, le=1)
    """Share of requests that are traced."""


class Dashboard(Section):
    """The dashboard."""

    enabled: bool = True
    """Whether the admin port has one."""
