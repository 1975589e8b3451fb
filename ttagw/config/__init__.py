"""The configuration: frozen values whose docstrings are the manual, and the loader that reports every fault at once."""

from ttagw.config.faults import ConfigError, Fault, Finding
from ttagw.config.gateway import Gateway, Http, Upstream
from ttagw.config.loader import load
from ttagw.config.model import Config
from ttagw.config.routes import Route
from ttagw.config.services import Instance, Service, Tls

__all__ = [
    "Config",
    "ConfigError",
    "Fault",
    "Finding",
    "Gateway",
    "Http",
    "Instance",
    "Route",
    "Service",
    "Tls",
    "Upstream",
    "load",
]
