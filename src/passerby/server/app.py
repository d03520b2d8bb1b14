"""The server, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from passerby import __version__
from passerby.data.columns import gallery_columns
from passerby.gallery import Gallery
from passerby.server import api, monitoring, pages
from passerby.server.access import Access
from passerby.server.body_limit import BodyLimit
from passerby.server.errors import add_refusals
from passerby.server.host_guard import HostGuard
from passerby.server.limits import Limits
from passerby.server.metrics import Recorder
from passerby.server.rate_limit import Buckets, RateLimit
from passerby.server.retention import Retention
from passerby.server.secure_headers import SecureHeaders
from passerby.server.service import Service
from passerby.server.unexpected import Unexpected

_BEARER = HTTPBearer(auto_error=False, description="The token that the server was started with.")


def create_app(
    gallery: Gallery,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    retention: Retention | None = None,
) -> FastAPI:
    """Make the server of a gallery.

    Args:
        gallery: the gallery.
        token: that clients have to show. None lets everybody in who addresses the server by a
            name of this machine, so it must not listen elsewhere; see `check_binding`.
        limits: for each client.
        retention: what purges the gallery while the server runs; by the gallery's settings if
            left out.
    """
    service = Service(gallery, limits or Limits(), token)
    purging = retention or Retention(gallery, service.purged)
    app = FastAPI(
        title="Passerby",
        summary="Find a pedestrian again: by a photo, by a description, or by both.",
        version=__version__,
        # both load their scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        form_limits={
            "max_fields": service.limits.form_fields,
            "max_files": service.limits.added_images,
            "max_part_size": service.limits.field_bytes,
        },
        lifespan=_purging_meanwhile(purging, service),
        middleware=_middleware(service),
    )
    app.state.service = service
    shown = [] if token is None else [Security(_BEARER)]
    app.include_router(api.router, dependencies=shown)
    app.include_router(api.column_router(gallery_columns()), dependencies=shown)
    app.include_router(monitoring.open_router)
    app.include_router(monitoring.router, dependencies=shown)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(packages=[("passerby.server", "static")]))
    add_refusals(app)
    return app


def _middleware(service: Service) -> list[Middleware]:
    """Return what every request passes through, in this order."""
    limits = service.limits
    return [
        Middleware(Recorder, metrics=service.metrics),
        Middleware(SecureHeaders),
        Middleware(Unexpected),
        *([Middleware(HostGuard)] if service.token is None else []),
        Middleware(RateLimit, buckets=Buckets(limits.requests_per_second, limits.burst)),
        Middleware(Access, token=service.token, sessions=service.sessions),
        Middleware(BodyLimit, most=limits.body_bytes, seconds=limits.body_seconds),
    ]


def _purging_meanwhile(retention: Retention, service: Service) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(retention.keep_purging(service.writing, asyncio.sleep))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return lifespan
