"""HTTP API and web pages over a gallery."""

from passerby.server.app import create_app
from passerby.server.binding import check_binding
from passerby.server.limits import Limits

__all__ = ["Limits", "check_binding", "create_app"]
