"""Reading the forms of the pages, and only those."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, UploadFile

from passerby.errors import InputError
from passerby.server.composing import Fields
from passerby.server.service import Service
from passerby.server.sessions import Session

FORM_TOKEN = "form_token"
_LONGEST_REASON = 500


@asynccontextmanager
async def read_form(request: Request, service: Service) -> AsyncIterator[FormData]:
    """Read the form of a request that one of our own pages sent.

    Raises:
        HTTPException: it is too large, or another web site, or nobody, made it.
    """
    limits = service.limits
    async with request.form(
        max_files=limits.search_images,
        max_fields=limits.form_fields,
        max_part_size=limits.field_bytes,
    ) as form:
        session: Session | None = request.state.session
        token = form.get(FORM_TOKEN)
        if (
            session is None
            or not isinstance(token, str)
            or not service.sessions.is_form_token(session, token)
        ):
            raise HTTPException(403, "This page is too old: load it again and repeat what you did.")
        yield form


def fields_of(form: FormData) -> Fields:
    """Return the fields that are not files."""
    fields: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    return fields


def images_of(form: FormData) -> list[UploadFile]:
    """Return the uploaded images."""
    return [value for value in form.getlist("images") if isinstance(value, UploadFile)]


def reason_of(form: FormData) -> str | None:
    """Return the reason that was given.

    Raises:
        InputError: it is not a short text.
    """
    text = form.get("reason")
    if not isinstance(text, str) or not text.strip():
        return None
    if len(text) > _LONGEST_REASON or not text.strip().isprintable():
        raise InputError(f"Write the reason in one line of up to {_LONGEST_REASON} letters.")
    return text.strip()
