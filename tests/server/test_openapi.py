"""What the OpenAPI document says is what happens, whatever is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from passerby.gallery import Gallery
from passerby.server import create_app

HOST = {"Host": "127.0.0.1"}
CHECKS = (
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.response_headers_conformance,
)


OPERATIONS = [
    ("POST", "/api/search"),
    ("POST", "/api/search-several"),
    ("POST", "/api/add"),
    ("POST", "/api/forget"),
    ("GET", "/api/info"),
    ("GET", "/api/crops/{hash}"),
    ("GET", "/api/crops/{hash}/thumbnail"),
    ("GET", "/api/audit"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]


def some(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )


def test_all_operations_are_tried(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert sorted(found) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (method, path, mode)
        for method, path in OPERATIONS
        for mode in GenerationMode
        # without parameters there is nothing wrong to send
        if mode == GenerationMode.POSITIVE or path not in ("/api/info", "/health", "/metrics")
    ],
)
def test_nothing_that_can_be_sent_makes_it_fail(
    gallery: Gallery, unlimited, method: str, path: str, mode: GenerationMode
) -> None:
    app = create_app(gallery, limits=unlimited)
    document = schemathesis.openapi.from_asgi("/openapi.json", app, headers=HOST)
    cases = document[path][method].as_strategy(generation_mode=mode)

    @some(20)
    @given(cases)
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=HOST, checks=CHECKS)

    send()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nobody_gets_in_without_the_token(
    gallery: Gallery, unlimited, token: str, method: str, path: str
) -> None:
    app = create_app(gallery, limits=unlimited, token=token)
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    wrong = {"Authorization": "Bearer wrong"}

    @some(5)
    @given(document[path][method].as_strategy())
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)
        assert case.call(headers=wrong).status_code == (200 if path == "/health" else 401)

    send()
