"""The version, in a file that imports nothing, so that building a wheel and `faceshield --version` stay fast."""

__version__ = "0.1.0"
