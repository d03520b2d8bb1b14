"""The JSON API."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, HTTPException, Query, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from passerby.calibration.answer_rule import AnswerRule
from passerby.server.api_values import (
    AddAnswer,
    Description,
    ForgetAnswer,
    ForgetRequest,
    Hash,
    KnownCrop,
    LogEntry,
    Reason,
    SearchAnswer,
    Unconfirmed,
    read_columns,
)
from passerby.server.errors import REFUSALS, Refusal
from passerby.server.known_fields import known_fields_only
from passerby.server.service import Served, client_of

router = APIRouter(prefix="/api", tags=["gallery"], responses=REFUSALS)

_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is no such crop"}
}
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The thumbnail",
    }
}


@router.post("/search", dependencies=[Depends(known_fields_only)])
def search(
    service: Served,
    request: Request,
    images: Annotated[list[UploadFile], File(description="Crops of one person.")] = [],  # noqa: B006
    like: Annotated[
        list[Hash], Form(description="Crops of the gallery instead.", max_length=16)
    ] = [],  # noqa: B006
    where: Annotated[Description | None, Form()] = None,
    top_k: Annotated[int | None, Form(ge=1, le=10_000, description="Number of answers.")] = None,
    beta: Annotated[
        float | None, Form(description="Threshold of the best F-beta; 2 if nothing is given.")
    ] = None,
    recall: Annotated[float | None, Form(description="Threshold for this recall.")] = None,
    false_match_rate: Annotated[
        float | None, Form(description="Threshold for this fraction of the wrong crops.")
    ] = None,
    threshold: Annotated[
        float | None, Form(ge=0, le=10, description="Largest distance of an answer.")
    ] = None,
    exact: Annotated[bool, Form(description="Look at every crop, index or not.")] = False,
    reason: Annotated[Reason | None, Form()] = None,
) -> SearchAnswer:
    """Find a person by photos, by a description, or by both."""
    rule = AnswerRule.chosen(
        top_k=top_k,
        beta=beta,
        recall=recall,
        false_match_rate=false_match_rate,
        threshold=threshold,
    )
    given = (top_k, beta, recall, false_match_rate, threshold) != (None,) * 5
    crops = service.uploads.prepare(images, service.limits.search_images)
    found = service.search(
        crops,
        where,
        rule if given else None,
        like=like,
        exact=exact,
        reason=reason,
        who=client_of(request),
    )
    return SearchAnswer.of(found)


@router.post("/add", dependencies=[Depends(known_fields_only)])
async def add(
    service: Served,
    request: Request,
    images: Annotated[list[UploadFile], File(description="One pedestrian on each.")],
    known: Annotated[dict[str, Any], Depends(read_columns)],
    reason: Annotated[Reason | None, Form()] = None,
) -> AddAnswer:
    """Add crops, all of them or none; those that are there already stay as they are."""
    added = await service.add(images, known, reason, client_of(request))
    return AddAnswer(added=added.rows, known=added.known, hashes=added.hashes)


@router.post(
    "/forget",
    responses={409: {"model": Unconfirmed, "description": "The number was not confirmed"}},
    response_model=ForgetAnswer,
)
async def forget(service: Served, request: Request, asked: ForgetRequest) -> Any:
    """Erase crops for good; ask without `confirm` first to learn how many that are."""
    named = partial(
        service.gallery.filter_of,
        hashes=asked.hashes or (),
        person=asked.person,
        dataset=asked.dataset,
        where=asked.where,
    )
    where = await run_in_threadpool(named)
    rows = await run_in_threadpool(service.gallery.count, where)
    if not rows:
        return ForgetAnswer(rows=0, scanned=False, twins=[])
    if asked.confirm != rows:
        sentence = f"This would erase {rows} crops: ask again with confirm = {rows}."
        return JSONResponse({"detail": sentence, "rows": rows}, 409)
    work = partial(service.forget, where, asked.reason, client_of(request), rows)
    erased = await service.writing(work)
    return ForgetAnswer(rows=erased.rows, scanned=erased.scanned, twins=list(erased.twins))


@router.get("/info")
def info(service: Served) -> dict[str, Any]:
    """Tell what is in the gallery and how it is kept."""
    return service.info_cache.now()


@router.get("/crops/{hash}", responses=_MISSING)
def crop(service: Served, hash: Hash) -> KnownCrop:
    """Tell what is stored of a crop."""
    rows = service.gallery.of_hashes([hash])
    if not rows:
        raise HTTPException(404, "There is no such crop: it was erased, or never added.")
    return KnownCrop.of_row(rows[0])


@router.get("/crops/{hash}/thumbnail", response_class=Response, responses={**_MISSING, **_JPEG})
def thumbnail(service: Served, hash: Hash) -> Response:
    """Return a crop's small copy."""
    image = service.gallery.thumbnail(hash)
    if image is None:
        raise HTTPException(404, "There is no such thumbnail: the crop is gone, or none is kept.")
    return Response(image, media_type="image/jpeg")


@router.get("/audit")
def audit(service: Served, limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> list[LogEntry]:
    """Tell who did what, and why; the latest first."""
    return [LogEntry(**asdict(entry)) for entry in service.gallery.latest_entries(limit)]
