"""Reading, adding, erasing and compacting at the same time."""

import hashlib
import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from passerby.calibration import AnswerRule
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.store import Store
from passerby.inference import RuntimeModel

pytestmark = pytest.mark.alone


def noise(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_many_write_while_others_read_and_compact(client, gallery: Gallery, sent) -> None:
    before = len(gallery)
    own = gallery.count("person = '0002'")
    statuses: list[int] = []

    def add(seed: int) -> None:
        statuses.append(client.post("/api/add", files=sent(noise(seed))).status_code)

    def search(_: int) -> None:
        data = {"where": "camera = 3", "top_k": 5}
        statuses.append(client.post("/api/search", data=data).status_code)
        statuses.append(client.get("/api/info").status_code)
        statuses.append(client.get("/").status_code)

    def erase(_: int) -> None:
        asked = {"person": "0002", "confirm": own}
        statuses.append(client.post("/api/forget", json=asked).status_code)

    def compact(_: int) -> None:
        other = Store.open(gallery.where)
        with other.committing():
            other.clean_up()

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(add, seed) for seed in range(6)]
        work += [pool.submit(search, n) for n in range(6)]
        work += [pool.submit(erase, 0), *(pool.submit(compact, n) for n in range(3))]
        for future in work:
            future.result()
    assert set(statuses) == {200}
    assert len(gallery) == before + 6 - own


UPKEEP = """
import sys
from passerby.gallery import Gallery
from passerby.gallery.store import Store
from passerby.inference import RuntimeModel
where, kind, model = sys.argv[1], sys.argv[2], RuntimeModel.load(sys.argv[3])
for turn in range(4):
    store = Store.open(where)
    if kind == "compact":
        with store.committing():
            store.compact()
        with store.committing():
            store.clean_up()
    else:
        Gallery.open(where, model).reindex(model, sys.argv[3])
"""


@pytest.mark.parametrize("kind", ["compact", "reindex"])
def test_upkeep_by_another_process_disturbs_no_search(
    kind: str, client, gallery: Gallery, sent, model: RuntimeModel
) -> None:
    photo = noise(5)

    def answers(data: dict) -> list[str]:
        files = sent(photo) if "where" not in data else None
        response = client.post("/api/search", data=data, files=files)
        assert response.status_code == 200, response.text
        return [answer["hash"] for answer in response.json()["answers"]]

    by_photo, described = {"top_k": 9}, {"where": "camera = 3", "top_k": 9}
    before = answers(by_photo), answers(described)
    command = [sys.executable, "-c", UPKEEP, gallery.where, kind, str(model.folder)]
    upkeep = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    searches = 0
    while upkeep.poll() is None:
        found = answers(by_photo), answers(described)
        # from thumbnails, which are a little different, other crops may be nearest
        assert len(found[0]) == 9 if kind == "reindex" else found == before
        searches += 1
    assert upkeep.returncode == 0, upkeep.communicate()[1]
    assert searches > 5
    fresh = Gallery.open(gallery.where, model)
    nearest = fresh.search([Image.open(io.BytesIO(photo))], rule=AnswerRule("top_k", 9))
    assert answers(by_photo) == [answer.hash for answer in nearest.answers]


def test_the_same_crop_added_twice_at_once_is_there_once(client, gallery, sent) -> None:
    before = len(gallery)
    content = noise(99)
    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(client.post, "/api/add", files=sent(content)) for _ in range(4)]
        added = [future.result().json()["added"] for future in work]
    assert sorted(added) == [0, 0, 0, 1]
    assert len(gallery) == before + 1


@pytest.fixture
def slow_erasing(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, ...]]:
    """Makes erasing wait: yields what is set when it begins, and what lets it go on."""
    started, go_on = threading.Event(), threading.Event()
    erase = Gallery.erase

    def slow(self, *arguments, **options):
        started.set()
        go_on.wait(30)
        return erase(self, *arguments, **options)

    monkeypatch.setattr(Gallery, "erase", slow)
    yield started, go_on
    go_on.set()


def test_a_long_erase_keeps_nobody_from_searching(client, gallery, slow_erasing) -> None:
    started, go_on = slow_erasing
    # more writers than there are threads for readers
    with ThreadPoolExecutor(60) as pool:
        asked = {"person": "0001", "confirm": gallery.count("person = '0001'")}
        erasing = pool.submit(client.post, "/api/forget", json=asked)
        assert started.wait(30)
        images = [("images", ("a.png", noise(7)))]
        adding = [pool.submit(client.post, "/api/add", files=images) for _ in range(50)]
        time.sleep(0.5)
        try:
            assert client.post("/api/search", data={"where": "camera = 1"}).status_code == 200
            assert client.get("/").status_code == 200
            assert not any(future.done() for future in adding)
        finally:
            go_on.set()
        assert erasing.result().status_code == 200
        assert {future.result().status_code for future in adding} == {200}


def held_back(client, gallery, slow_erasing, requests: int) -> list:
    """Send crops while the gallery is being written to; return what is answered."""
    started, go_on = slow_erasing
    with ThreadPoolExecutor(requests + 1) as pool:
        asked = {"person": "0001", "confirm": gallery.count("person = '0001'")}
        erasing = pool.submit(client.post, "/api/forget", json=asked)
        assert started.wait(30)
        adding = [
            pool.submit(
                client.post,
                "/api/add",
                files=[("images", ("a.png", noise(seed))), ("images", ("b.png", noise(1000)))],
                data={"reason": f"number {seed}"},
            )
            for seed in range(requests)
        ]
        time.sleep(1)
        go_on.set()
        assert erasing.result().status_code == 200
        return [future.result() for future in adding]


def test_who_waits_is_added_in_one_commit(
    client, gallery: Gallery, slow_erasing, monkeypatch
) -> None:
    batches: list[int] = []
    add_together = Gallery.add_together

    def counted(self, together):
        batches.append(len(together))
        return add_together(self, together)

    monkeypatch.setattr(Gallery, "add_together", counted)
    answers = held_back(client, gallery, slow_erasing, 10)
    assert {answer.status_code for answer in answers} == {200}
    assert batches == [10]
    # the crop that all of them sent was added by one
    assert sorted(answer.json()["added"] for answer in answers) == [1] * 9 + [2]
    assert sum(answer.json()["known"] for answer in answers) == 9
    for seed, answer in enumerate(answers):
        own, common = answer.json()["hashes"]
        assert own == hashlib.sha256(noise(seed)).hexdigest()
        assert common == hashlib.sha256(noise(1000)).hexdigest()
        assert len(gallery.of_hashes([own, common])) == 2
    reasons = [entry.reason for entry in gallery.latest_entries(10)]
    assert sorted(reasons) == [f"number {seed}" for seed in range(10)]


def test_what_hinders_a_commit_is_told_to_all(
    client, gallery: Gallery, slow_erasing, monkeypatch
) -> None:
    def full(*_: object) -> None:
        raise InputError("The disk is full: make room.")

    before = len(gallery) - gallery.count("person = '0001'")
    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "add_together", full)
        answers = held_back(client, gallery, slow_erasing, 3)
    assert [(a.status_code, a.json()["detail"]) for a in answers] == [
        (422, "The disk is full: make room.")
    ] * 3
    assert len(gallery) == before
    sent = [("images", ("a.png", noise(0)))]
    assert client.post("/api/add", files=sent).json()["added"] == 1, "nothing of it is left over"
    assert len(gallery) == before + 1
