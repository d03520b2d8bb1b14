"""Whether the server is well, and what it has done."""

import logging

from fastapi import APIRouter, HTTPException
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from passerby.server.errors import REFUSALS, Refusal
from passerby.server.service import Served

open_router = APIRouter(tags=["monitoring"])
router = APIRouter(tags=["monitoring"])
_log = logging.getLogger(__name__)


class Health(BaseModel):
    """The gallery can be read."""

    status: str = "ok"


@open_router.get(
    "/health",
    responses={
        **{status: REFUSALS[status] for status in (400, 429, 500)},
        503: {"model": Refusal, "description": "The gallery cannot be read"},
    },
)
def health(service: Served) -> Health:
    """Tell whether the gallery can be read."""
    try:
        len(service.gallery)
    except Exception:
        _log.exception("The gallery cannot be read.")
        raise HTTPException(503, "The gallery cannot be read: the server's log says why.") from None
    return Health()


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {CONTENT_TYPE_LATEST: {}}, "description": "For Prometheus"},
        **{status: REFUSALS[status] for status in (400, 401, 429, 500)},
    },
)
def metrics(service: Served) -> Response:
    """Tell what was done, in Prometheus' text format."""
    return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
