"""SQL over the systems a team works with."""

__version__ = "0.1.0"
