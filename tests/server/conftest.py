"""A server over a gallery of toy crops."""

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from passerby.gallery import Gallery
from passerby.inference import RuntimeModel
from passerby.server import Limits, create_app

UNLIMITED = Limits(requests_per_second=1e6, burst=1_000_000)
TOKEN = "correct-horse-battery-staple"

MakeClient = Callable[..., TestClient]


@pytest.fixture(scope="session")
def model(calibrated_model: Path) -> RuntimeModel:
    return RuntimeModel.load(calibrated_model)


@pytest.fixture
def gallery(filled_gallery: Path, model: RuntimeModel, tmp_path: Path) -> Gallery:
    """A gallery for one test to change."""
    shutil.copytree(filled_gallery, tmp_path / "gallery")
    return Gallery.open(tmp_path / "gallery", model)


@pytest.fixture
def make_client(gallery: Gallery) -> Iterator[MakeClient]:
    """Starts servers; they stop when the test ends."""
    running: list[TestClient] = []

    def make(host: str = "127.0.0.1", **options) -> TestClient:
        options = {"limits": UNLIMITED, **options}
        client = TestClient(
            create_app(gallery, **options),
            base_url=f"http://{host}",
            follow_redirects=False,
            raise_server_exceptions=True,
        )
        running.append(client.__enter__())
        return running[-1]

    yield make
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Asks a server without a token."""
    return make_client()


@pytest.fixture
def crop_files(toy_data: Path) -> list[Path]:
    """The crops of the gallery, as files."""
    return sorted((toy_data / "train").iterdir())


@pytest.fixture
def stranger(toy_data: Path) -> bytes:
    """A crop that is not in the gallery, as a file's content."""
    return min((toy_data / "queries").iterdir()).read_bytes()


def _as_png(path: Path) -> bytes:
    file = io.BytesIO()
    Image.open(path).save(file, "PNG")
    return file.getvalue()


def _form_token(client: TestClient, path: str = "/") -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', client.get(path).text)
    assert found
    return found[1]


@pytest.fixture
def hashes_in() -> Callable[[str], list[str]]:
    """Reads the answers off a page, in order."""
    return lambda page: re.findall(r'data-hash="([0-9a-f]{64})"', page)


@pytest.fixture
def sent() -> Callable[[bytes], list]:
    """Makes the files of a request with one image."""
    return lambda content: [("images", ("crop.jpg", content, "image/jpeg"))]


@pytest.fixture
def as_png() -> Callable[[Path], bytes]:
    """Makes another file of the same picture."""
    return _as_png


@pytest.fixture
def form_token() -> Callable[..., str]:
    """Loads a page with a client, and reads what its forms carry."""
    return _form_token


@pytest.fixture
def token() -> str:
    """What clients have to show to a server that asks for it."""
    return TOKEN


@pytest.fixture(scope="session")
def unlimited() -> Limits:
    """Limits for clients that may ask as often as they like."""
    return UNLIMITED
