import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from object_store import ObjectStore
from typer.testing import CliRunner

from passerby.cli.main import app
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.table_schema import vectors_of
from passerby.inference import RuntimeModel
from passerby.inference.cluster import Cluster

pytestmark = [
    pytest.mark.alone,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("local", workers=2) as opened:
        yield opened


def sorted_rows(gallery: Gallery) -> pa.Table:
    return gallery._store.crops.to_arrow().drop_columns("added").sort_by("hash")


def check_same(first: Gallery, second: Gallery) -> None:
    found, expected = sorted_rows(first), sorted_rows(second)
    np.testing.assert_allclose(vectors_of(found), vectors_of(expected), atol=1e-6)
    for name in found.column_names:
        values, wanted = found.column(name).to_pylist(), expected.column(name).to_pylist()
        if pa.types.is_floating(found.schema.field(name).type):
            np.testing.assert_allclose(values, wanted, atol=1e-6)
        elif name != "vector":
            assert values == wanted, name


def test_the_same_rows_as_without_a_cluster(
    cluster: Cluster, model: RuntimeModel, toy_data: Path, tmp_path: Path
) -> None:
    """With boxes, a copy, distractors, a broken file, and crops that are there already."""
    crops = read_crops(toy_data)[:100]
    folder = tmp_path / "crops"
    folder.mkdir()
    paths = [Path(shutil.copy2(path, folder)) for path in crops.paths]
    shutil.copy2(paths[3], paths[70])
    paths[50].write_bytes(b"")
    box = np.zeros((100, 4), int)
    box[::9] = 2, 3, 40, 100
    role = ["distractor" if row == 20 else None for row in range(100)]
    crops = crops.replace(paths=paths, box=box, role=role).without_labels()
    broken: list[str] = []
    galleries = [Gallery.create(tmp_path / name, model) for name in ("alone", "together")]
    for gallery in galleries:
        gallery.add(crops[30:40])
    added = galleries[0].add(crops, on_broken=lambda error: broken.append(str(error)))
    found = galleries[1].add(
        crops, on_broken=lambda error: broken.append(str(error)), cluster=cluster
    )
    assert (found.rows, found.known, found.hashes) == (added.rows, added.known, added.hashes)
    assert (found.rows, found.known) == (88, 11)
    assert broken[0] == broken[1]
    assert found.broken == [f"{paths[50]} is empty: replace or remove it."]
    check_same(*galleries)
    again = galleries[1].add(crops, on_broken=str, cluster=cluster)
    assert (again.rows, again.known) == (0, 99)
    assert galleries[1].erase(f"hash = '{found.hashes[0]}'").rows == 1
    assert galleries[1].add(crops[:5], cluster=cluster).rows == 1


def test_the_first_broken_crop_stops_it(
    cluster: Cluster, model: RuntimeModel, tmp_path: Path
) -> None:
    gallery = Gallery.create(tmp_path / "gallery", model)
    with pytest.raises(InputError, match=r"Cannot read .*missing.jpg: No such file"):
        gallery.add(Crops([tmp_path / "missing.jpg"]), cluster=cluster)
    assert gallery.count() == 0


def test_the_commands(cluster: Cluster, model_file: Path, toy_data: Path, tmp_path: Path) -> None:
    gallery, runner = str(tmp_path / "gallery"), CliRunner()
    assert (
        runner.invoke(app, ["gallery", "create", gallery, "--model", str(model_file)]).exit_code
        == 0
    )
    few = tmp_path / "few"
    few.mkdir()
    for path in read_crops(toy_data)[:20].paths:
        shutil.copy2(path, few)
    result = runner.invoke(
        app, ["gallery", "add", gallery, str(few), "--ray", "local", "--json",
              "--model", str(model_file)]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert '"added": 20' in result.output
    result = runner.invoke(
        app, ["embed", str(few), "--out", str(tmp_path / "out"), "--ray", "local",
              "--model", str(model_file)]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Embeddings of 20 crops written" in result.output
    result = runner.invoke(app, ["embed", str(few), "--out", str(tmp_path / "o"), "--workers", "2"])
    assert isinstance(result.exception, InputError)
    assert "--workers are those of a cluster: give --ray too" in str(result.exception)


@pytest.mark.parametrize("where", ["folder", "object store"])
def test_each_crop_once_though_workers_die(
    where: str,
    cluster: Cluster,
    model: RuntimeModel,
    toy_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And though the object store fails now and then."""
    crops = read_crops(toy_data).without_labels()
    # each file nine times, cut in nine ways
    paths = [path for path in crops.paths for _ in range(9)]
    box = np.array([(side, 0, 50, 100 + side) for _ in crops.paths for side in range(9)])
    crops = Crops(paths, box=box)
    killed: list[int] = []
    finished = threading.Event()

    def kill() -> None:
        """Kill two workers, each as soon as it works."""
        while len(killed) < 2 and not finished.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if process.name().startswith("ray::Map") and process.pid not in killed:
                        killed.append(process.pid)
                        os.kill(process.pid, signal.SIGKILL)
                        break

    objects = ObjectStore()
    for name, value in objects.environment.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "together" if where == "folder" else "s3://street/gallery"
    together = Gallery.create(place, model)
    objects.refusal, objects.every = (503, "SlowDown"), 9
    killing = threading.Thread(target=kill)
    killing.start()
    found = together.add(crops, cluster=cluster)
    finished.set()
    killing.join()
    objects.refusal = None
    assert len(killed) == 2
    assert (objects.refused > 3) == (where == "object store")
    alone = Gallery.create(tmp_path / "alone", model)
    added = alone.add(crops)
    assert (found.rows, found.hashes) == (added.rows, added.hashes)
    check_same(together, alone)
    objects.close()
