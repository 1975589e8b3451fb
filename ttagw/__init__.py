"""ttagw: the API gateway of TTA, a Twisted daemon."""

__version__ = "0.1.0"
