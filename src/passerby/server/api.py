"""The JSON API."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, HTTPException, Query, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from passerby.calibration.answer_rule import AnswerRule
from passerby.data.columns import Column
from passerby.errors import InputError
from passerby.server.api_values import (
    AddAnswer,
    Description,
    ForgetAnswer,
    ForgetRequest,
    Hash,
    LogEntry,
    Reason,
    Unconfirmed,
    answer_models,
    field_type,
)
from passerby.server.errors import REFUSALS, Refusal
from passerby.server.known_fields import known_fields_only
from passerby.server.service import Served, client_of

_ROUTER: dict[str, Any] = {"prefix": "/api", "tags": ["gallery"], "responses": REFUSALS}

router = APIRouter(**_ROUTER)
"""The endpoints that name no column; `column_router` makes the others."""

_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is no such crop"}
}
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The thumbnail",
    }
}


def column_router(columns: Sequence[Column]) -> APIRouter:
    """Return the endpoints that take or tell what is known of crops.

    Args:
        columns: what that is.
    """
    answers = answer_models(columns)
    made = APIRouter(**_ROUTER)
    checked = [Depends(known_fields_only)]
    made.post("/search", dependencies=checked, response_model=answers.search)(_search)
    made.post("/search-several", dependencies=checked, response_model=answers.several)(
        _search_several
    )
    made.post("/add", dependencies=checked)(_adding(columns))
    made.get("/crops/{hash}", responses=_MISSING, response_model=answers.crop)(_crop)
    return made


def _rule(
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
) -> AnswerRule | None:
    """Return where answer sets are cut; None if nothing is said of it."""
    given = {
        "top_k": top_k,
        "beta": beta,
        "recall": recall,
        "false_match_rate": false_match_rate,
        "threshold": threshold,
    }
    rule = AnswerRule.chosen(**given)
    return None if set(given.values()) == {None} else rule


_Rule = Annotated[AnswerRule | None, Depends(_rule)]


def _search(
    service: Served,
    request: Request,
    rule: _Rule,
    images: Annotated[list[UploadFile], File(description="Crops of one person.")] = [],  # noqa: B006
    like: Annotated[
        list[Hash], Form(description="Crops of the gallery instead.", max_length=16)
    ] = [],  # noqa: B006
    where: Annotated[Description | None, Form()] = None,
    exact: Annotated[bool, Form(description="Look at every crop, index or not.")] = False,
    reason: Annotated[Reason | None, Form()] = None,
) -> Any:
    """Find a person by photos, by a description, or by both."""
    prepared = service.uploads.prepare(images, service.limits.search_images)
    found = service.search(
        prepared.crops,
        where,
        rule,
        like=like,
        exact=exact,
        reason=reason,
        who=client_of(request),
    )
    # as it is: checking each number against the model takes longer than searching
    return JSONResponse({**found.to_dict(), "remarks": prepared.remarks})


def _search_several(
    service: Served,
    request: Request,
    rule: _Rule,
    images: Annotated[list[UploadFile], File(description="A crop of each person.")],
    where: Annotated[Description | None, Form()] = None,
    reason: Annotated[Reason | None, Form()] = None,
) -> Any:
    """Find several persons, by a photo of each: much faster than one after the other."""
    prepared = service.uploads.prepare(images, service.limits.searched_persons)
    found = service.search_several(
        prepared.crops, where, rule, reason=reason, who=client_of(request)
    )
    sets = [answers.to_dict() for answers in found]
    return JSONResponse({"sets": sets, "remarks": prepared.remarks})


def _adding(columns: Sequence[Column]) -> Callable[..., Any]:
    """Return the endpoint that adds crops, with a field for each column."""

    async def add(
        service: Served,
        request: Request,
        images: Annotated[list[UploadFile], File(description="One pedestrian on each.")],
        reason: Annotated[Reason | None, Form()] = None,
        **known: Any,
    ) -> AddAnswer:
        """Add crops, all of them or none; those that are there already stay as they are.

        What is told of them holds for all of them.
        """
        told = {name: value for name, value in known.items() if value not in (None, "")}
        added, remarks = await service.add(images, told, reason, client_of(request))
        return AddAnswer(added=added.rows, known=added.known, hashes=added.hashes, remarks=remarks)

    signature = inspect.signature(add)
    *own, _ = signature.parameters.values()
    fields = [
        inspect.Parameter(
            column.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                field_type(column.kind),
                Form(description=f"{_sentence(column.about)} Such as: {column.kind.example}"),
            ],
        )
        for column in columns
    ]
    # what FastAPI reads the fields of a request from
    add.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *fields]
    )
    return add


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


@router.post(
    "/forget",
    responses={409: {"model": Unconfirmed, "description": "The number was not confirmed"}},
    response_model=ForgetAnswer,
)
async def forget(service: Served, request: Request, asked: ForgetRequest) -> Any:
    """Erase crops for good; ask without `confirm` first to learn how many that are."""
    if asked.dataset is not None and asked.person is None:
        raise InputError("`dataset` says whose `person` is meant: give both, or neither.")
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


def _crop(service: Served, hash: Hash) -> Any:
    """Tell what is stored of a crop."""
    rows = service.gallery.of_hashes([hash])
    if not rows:
        raise HTTPException(404, "There is no such crop: it was erased, or never added.")
    return rows[0]


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
