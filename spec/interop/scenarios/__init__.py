"""All scenarios, in the order in which they run."""
# Importing a module declares its scenarios.
from . import demo, mixed, autogen_host, payloads, many, registration, streams, control, limits  # noqa: F401
from support.scenario import SCENARIOS

__all__ = ["SCENARIOS"]
