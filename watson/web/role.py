"""The ``web`` role: reads the catalogue and the object store; consumes no topic.

Any number of them may run side by side, behind any load balancer: nothing is kept between requests but caches and the
samples of the last minutes, which each takes by itself.
"""

from __future__ import annotations

from watson import metrics
from watson.agents.role import RoleApp
from watson.settings import Settings
from watson.storage.connect_catalogue import catalogue as connect_catalogue
from watson.storage.connect_objects import object_store
from watson.storage.measured import measured
from watson.web.health import mount_health
from watson.web.job_metrics import JobMetrics
from watson.web.site import mount_site

__all__ = ["build_web_app"]


def build_web_app(settings: Settings) -> RoleApp:
    """The role's app; the stores are opened before the web server listens.

    Raises:
        UserError: the settings name a catalogue or an object store that cannot be.
    """
    app = RoleApp("web", settings)
    catalogue = measured(connect_catalogue(settings), metrics.CATALOGUE_SECONDS)
    objects = measured(object_store(settings), metrics.OBJECT_STORE_SECONDS)
    app.add_resource(objects.open, objects.close)
    app.add_resource(catalogue.open, catalogue.close)
    mount_health(app, app.health, settings, before_metrics=JobMetrics(catalogue).refresh)
    mount_site(app, catalogue, objects, settings)
    return app
