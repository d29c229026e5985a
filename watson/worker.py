"""Runs one role as a process: settings checked, logs set up, health served, exit code returned."""

from __future__ import annotations

from collections.abc import Callable

from watson import metrics
from watson.agents.transport import TransportApp, run
from watson.errors import UserError
from watson.logs import configure_logging
from watson.settings import Settings
from watson.tracing import configure_tracing

__all__ = ["ROLES", "run_worker"]

ROLES = ("discover", "preprocess", "segment", "catalogue", "project", "train", "web")


def _builder(role: str) -> Callable[[Settings], TransportApp]:
    """The role's module is imported only here: a worker that discovers never loads torch, nor Cassandra's driver."""
    # ruff: noqa: PLC0415 - see above
    if role == "discover":
        from watson.agents.discover import build
    elif role == "preprocess":
        from watson.agents.preprocess import build
    elif role == "segment":
        from watson.agents.segment import build
    elif role == "catalogue":
        from watson.agents.catalogue import build
    elif role == "project":
        from watson.agents.project import build
    elif role == "train":
        from watson.agents.train import build
    elif role == "web":
        from watson.web.role import build_web_app as build
    else:
        raise UserError(f"there is no role {role!r}; the roles are {', '.join(ROLES)}")
    return build


def run_worker(role: str, settings: Settings) -> int:
    """Work as ``role`` until told to stop; returns the exit code (docs/operations.md lists them).

    Raises:
        UserError: the role is unknown, the topics or the catalogue are not as this code needs them.
    """
    from watson.web.health import mount_health

    build = _builder(role)
    configure_logging(settings)
    metrics.begin(role, settings.price_per_hour)
    end_traces = configure_tracing(settings, role)
    app = build(settings)
    if role != "web":  # the web role mounts its own
        mount_health(app, app.health, settings)
    try:
        return run(app, settings)
    finally:
        end_traces()
