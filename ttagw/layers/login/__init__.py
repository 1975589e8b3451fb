"""Layer: routes by which people log in."""

from ttagw.layers.login.grid import Grid
from ttagw.layers.login.login import Login

__all__ = ["Grid", "Login"]
