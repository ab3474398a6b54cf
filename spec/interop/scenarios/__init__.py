"""All scenarios, in the order in which they run."""

# Importing a module declares its scenarios.
# isort: off
from . import demo, mixed, errors, program, many, payloads, placeholders  # noqa: F401
from . import registration, streams, control, limits  # noqa: F401
from . import dotnet, probes, h2spec, secure  # noqa: F401
from . import calls, autogen_host, reconnect, protobuf, state, shared  # noqa: F401

# isort: on
from support.scenario import SCENARIOS

__all__ = ["SCENARIOS"]
