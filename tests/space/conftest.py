"""The fixtures of the Space: they live in a module of a name of its own, since several folders have a conftest."""

from space_site import *  # noqa: F403
