"""The pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.server.cards import CardMaker, facts_of, sort_facts
from passerby.server.composing import compose_where, first
from passerby.server.filter_form import FilterGroup, filter_groups
from passerby.server.page_forms import FORM_TOKEN, fields_of, images_of, read_form, reason_of
from passerby.server.results import MOST, PAGE, Asked, search_page_results
from passerby.server.service import Served, Service, client_of
from passerby.server.sessions import COOKIE, LIFETIME, Session, same
from passerby.server.templating import render

router = APIRouter(include_in_schema=False)

_LOG_LINES = 50
_SHOWN_GROUPS = 16
"""Questions of the search form; the others are folded away."""


@router.get("/")
def search_page(service: Served, request: Request) -> Response:
    """Show the form, with nothing found yet."""
    return _page(service, request, "search.html.j2", **_form_values(service), found=None)


@router.post("/search")
async def search(service: Served, request: Request) -> Response:
    """Show what was found: the results alone if the page asks for them, or the whole page."""
    async with read_form(request, service) as form:
        asked = await run_in_threadpool(_asked, service, form, client_of(request))
        maker = await run_in_threadpool(card_maker, service.gallery)
        found = await run_in_threadpool(search_page_results, service, maker, asked)
    if _is_part(request):
        return _part(service, request, "results.html.j2", found=found)
    values = await run_in_threadpool(_form_values, service)
    return _page(service, request, "search.html.j2", **values, found=found)


@router.post("/describe")
async def describe(service: Served, request: Request) -> Response:
    """Say in words what is ticked."""
    async with read_form(request, service) as form:
        where = await run_in_threadpool(_described, service.gallery, form)
    return HTMLResponse(render("described.html.j2", where=where))


@router.get("/crops/{hash}")
def crop(service: Served, request: Request, hash: str) -> Response:
    """Show all that is stored of a crop; its attributes alone if a page asks for them."""
    rows = service.gallery.of_hashes([hash])
    if not rows:
        raise HTTPException(404, "There is no such crop: it was erased, or never added.")
    bars = card_maker(service.gallery).bars(rows[0]["attributes"])
    if _is_part(request):
        return HTMLResponse(render("bars.html.j2", bars=bars))
    facts = [*facts_of(rows[0]), ("added", f"{rows[0]['added']:%Y-%m-%d %H:%M} UTC")]
    return _page(service, request, "crop.html.j2", hash=hash, facts=facts, bars=bars)


@router.post("/erase/confirm")
async def confirm_erasing(service: Served, request: Request) -> Response:
    """Show what would be erased, and ask."""
    async with read_form(request, service) as form:
        hashes = _hashes(service, form)
    rows = await run_in_threadpool(service.gallery.of_hashes, hashes)
    if not rows:
        raise InputError("These crops are gone already.")
    return _part_or_page(
        service,
        request,
        "erase.html.j2",
        "erase_page.html.j2",
        hashes=[row["hash"] for row in rows],
    )


@router.post("/erase")
async def erase(service: Served, request: Request) -> Response:
    """Erase what was confirmed."""
    async with read_form(request, service) as form:
        hashes, reason = _hashes(service, form), reason_of(form)
        confirmed = form.get("confirm")
    where = service.gallery.filter_of(hashes=hashes)
    rows = await run_in_threadpool(service.gallery.count, where)
    if confirmed != str(rows):
        raise InputError(f"The selection has changed: {rows} crops of it are left. Select again.")
    work = partial(service.forget, where, reason, client_of(request))
    erased = await service.writing(work)
    sentence = f"{_crops(erased.rows)} erased for good."
    if erased.scanned:
        sentence += " All files of the gallery were searched: nothing of them is left."
    if erased.twins:
        sentence += f" {_crops(len(erased.twins))} with the very same picture stay."
    return _part_or_page(
        service, request, "message.html.j2", "message_page.html.j2", sentence=sentence, wrong=False
    )


@router.get("/stored")
def stored(service: Served, request: Request) -> Response:
    """Show what is stored, for how long, and who did what with it."""
    log = service.gallery.latest_entries(_LOG_LINES)
    info, settings = service.info_cache.now(), service.gallery.settings
    return _page(
        service,
        request,
        "stored.html.j2",
        info=info,
        settings=settings,
        attributes=0 if settings.schema_ is None else len(settings.schema_),
        log=log,
        facts=[name.replace("_", " ") for name in sort_facts(info["columns"])],
        megabytes=None if info["bytes"] is None else f"{info['bytes'] / 1e6:,.1f}",
    )


@router.get("/login")
def login_page(service: Served, request: Request) -> Response:
    """Ask for the token."""
    if service.token is None or _session(request, admitted=True) is not None:
        return RedirectResponse("/", 303)
    return _page(service, request, "login.html.j2", wrong=False)


@router.post("/login")
async def login(service: Served, request: Request) -> Response:
    """Let a browser in that shows the token."""
    async with read_form(request, service) as form:
        given = form.get("token")
    if service.token is None or not isinstance(given, str) or not same(given, service.token):
        return _page(service, request, "login.html.j2", status=401, wrong=True)
    response = RedirectResponse("/", 303)
    _remember(response, request, service, service.sessions.new(admitted=True))
    return response


@router.post("/logout")
async def logout(service: Served, request: Request) -> Response:
    """Let the browser in no more."""
    async with read_form(request, service):
        service.sessions.end(request.state.session)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


@dataclass(frozen=True)
class Frame:
    """What every page shows around its own content.

    Attributes:
        path: of the page.
        logged_in: whether there is somebody to log out.
    """

    path: str
    logged_in: bool


def card_maker(gallery: Gallery) -> CardMaker:
    """Return what makes cards of a gallery's crops."""
    settings = gallery.settings
    return CardMaker(settings.schema_, settings.decision, gallery.model.info.training.frequencies)


def _page(
    service: Service, request: Request, template: str, status: int = 200, **values: Any
) -> Response:
    """Return a whole page, and a session for its forms if the browser has none."""
    known = _session(request)
    session = known or service.sessions.new()
    token = service.sessions.form_token(session)
    frame = Frame(request.url.path, session.admitted)
    page = render(template, frame=frame, **_common(service, token), **values)
    response = HTMLResponse(page, status)
    if known is None:
        _remember(response, request, service, session)
    return response


def _part_or_page(
    service: Service, request: Request, part: str, page: str, **values: Any
) -> Response:
    if _is_part(request):
        return _part(service, request, part, **values)
    return _page(service, request, page, **values)


def _part(service: Service, request: Request, template: str, **values: Any) -> Response:
    """Return a part of a page that the browser has, with its forms' token."""
    token = service.sessions.form_token(request.state.session)
    return HTMLResponse(render(template, **_common(service, token), **values))


def _common(service: Service, token: str) -> dict[str, Any]:
    return {
        "form_token": token,
        "form_token_name": FORM_TOKEN,
        "pictured": service.gallery.settings.images == "thumbnails",
        "described": service.gallery.settings.schema_ is not None,
    }


def _session(request: Request, admitted: bool = False) -> Session | None:
    session: Session | None = request.state.session
    return session if session is not None and (session.admitted or not admitted) else None


def _remember(response: Response, request: Request, service: Service, session: Session) -> None:
    response.set_cookie(
        COOKIE,
        service.sessions.cookie(session),
        max_age=LIFETIME,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _is_part(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


def _form_values(service: Service) -> dict[str, Any]:
    info = service.info_cache.now()
    groups = filter_groups(service.gallery.settings.schema_)
    return {
        "groups": groups[:_SHOWN_GROUPS],
        "more_groups": groups[_SHOWN_GROUPS:],
        "example": _example(groups),
        "cameras": sorted(info["cameras"].items(), key=_by_name),
        "rows": info["rows"],
        "taken": info["taken"],
        "most_images": service.limits.search_images,
        "image_bytes": service.limits.image_bytes,
    }


def _example(groups: Sequence[FilterGroup]) -> str:
    """Return a description that the gallery understands."""
    present = [group.ticks[0].condition for group in groups[:2]]
    return " and ".join([*present, "camera = 1", "time >= 2026-11-01"])


def _by_name(camera: tuple[str, int]) -> tuple[int, int, str]:
    """Sort cameras: numbers by their value, then names, the unknown one last."""
    name = camera[0]
    if not name:
        return 2, 0, ""
    if name.isascii() and name.isdecimal():
        return 0, int(name), name
    return 1, 0, name


def _asked(service: Service, form: FormData, who: str) -> Asked:
    """Read the search form; "More like this" comes before photos, and these before the rest."""
    fields = fields_of(form)
    like = fields.get("more_like") or fields.get("like", [])
    uploads = [] if "more_like" in fields else images_of(form)
    prepared = service.uploads.prepare(uploads, service.limits.search_images)
    most = first(fields, "most")
    return Asked(
        crops=prepared.crops,
        remarks=prepared.remarks,
        like=() if prepared.crops else like[: service.limits.search_images],
        where=_described(service.gallery, form),
        most=max(1, min(int(most[:6]), MOST)) if most.isascii() and most.isdecimal() else PAGE,
        reason=reason_of(form),
        who=who,
    )


def _described(gallery: Gallery, form: FormData) -> str | None:
    fields = fields_of(form)
    text = first(fields, "where")
    if text:
        # on its own, so that it cannot end the parentheses around it
        gallery.parse(text)
    return compose_where(fields, gallery.settings.schema_)


def _hashes(service: Service, form: FormData) -> Sequence[str]:
    hashes = list(dict.fromkeys(fields_of(form).get("hash", [])))
    if not hashes:
        raise InputError("Nothing is selected: tick the crops to erase first.")
    if len(hashes) > service.limits.erased_crops:
        raise InputError("Too many crops are selected: erase them in several steps.")
    return hashes


def _crops(count: int) -> str:
    return "1 crop" if count == 1 else f"{count} crops"
