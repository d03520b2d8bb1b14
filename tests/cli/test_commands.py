"""The commands as a person runs them, in a process of their own where start-up matters."""

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from passerby.cli.main import main
from passerby.data import COURSE, read_crops
from passerby.embedding import RuntimeModel

SMALL = [
    "--set=data.held_out_persons=6",
    "--set=model.backbone=test_resnet",
    "--set=model.size=[64, 32]",
    "--set=phases.0.epochs=1",
    "--set=phases.1.epochs=1",
]


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, " ".join(err.split())


@pytest.fixture
def passerby(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs one command in this process."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["passerby", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """A finished run of the command line; read only."""
    run = tmp_path_factory.mktemp("runs") / "run"
    command = ["train", "smoke", f"--data={toy_data}", f"--out={run}", *SMALL]
    subprocess.run([sys.executable, "-m", "passerby.cli.main", *command], check=True)
    return run


def test_help_names_every_command(passerby) -> None:
    result = passerby("--help")
    assert result.code == 0
    for command in ("demo", "data", "train", "evaluate", "predict"):
        assert command in result.out


def test_the_version(passerby) -> None:
    assert passerby("--version").out.strip() == version("passerby")


class TestData:
    def test_describe(self, passerby, toy_data: Path) -> None:
        result = passerby("data", "describe", toy_data)
        assert result.code == 0
        for expected in ("course, train", "144", "24", "camera 1", "upmulticolor", "No problems"):
            assert expected in result.out

    def test_describe_json(self, passerby, toy_data: Path) -> None:
        value = json.loads(passerby("data", "describe", toy_data, "--json").out)
        assert (value["layout"], value["crops"], value["persons"]) == ("course", 144, 24)

    def test_labels(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        target = tmp_path / "labels.csv"
        assert passerby("data", "labels", toy_data, "--out", target).code == 0
        rows = list(csv.reader(target.open()))
        assert rows[0] == ["id", *COURSE.attributes]
        ids, labels = read_crops(toy_data).person_labels()
        assert [int(row[0]) for row in rows[1:]] == ids.tolist()
        assert [[int(v) for v in row[1:]] for row in rows[1:]] == labels.astype(int).tolist()

    def test_labels_need_annotations(self, passerby, toy_data: Path) -> None:
        result = passerby("data", "labels", toy_data / "test")
        assert result.code == 2
        assert "no attribute annotations" in result.err

    def test_toy(self, passerby, tmp_path: Path) -> None:
        result = passerby("data", "toy", tmp_path / "toy", "--persons", 4, "--seed", 3)
        assert result.code == 0
        assert len(read_crops(tmp_path / "toy").person_ids) == 4

    def test_toy_into_a_full_folder(self, passerby, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        result = passerby("data", "toy", tmp_path, "--persons", 4)
        assert result.code == 2
        assert str(tmp_path) in result.err.replace(" ", "")


class TestEvaluate:
    def test_only_held_out_persons_are_scored(self, passerby, trained: Path, toy_data) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--json")
        value = json.loads(result.out)["attributes"]
        assert (value["persons"], value["crops"]) == (6, 36)
        assert {"f1", "f1_ci", "defined", "instance", "official12", "per_attribute"} <= set(value)

    def test_the_tables(self, passerby, trained: Path, toy_data: Path) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--decision", "fixed")
        assert result.code == 0
        for expected in ("backpack", "all 32", "defined", "36 crops of 6 persons", "rule: fixed"):
            assert expected in result.out

    def test_other_data_are_scored_whole(self, passerby, trained: Path, tmp_path: Path) -> None:
        passerby("data", "toy", tmp_path / "toy", "--persons", 5, "--seed", 9)
        result = passerby("evaluate", trained, "--data", tmp_path / "toy", "--json")
        assert json.loads(result.out)["attributes"]["persons"] == 5
        assert "not trained on a part of these data: all persons are scored" in result.err

    def test_a_rule_the_model_does_not_have(self, passerby, trained: Path, toy_data) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--decision", "thresholds")
        assert result.code == 2
        assert "train with data.calibration_persons" in result.err


class TestPredict:
    def test_many_crops(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        target = tmp_path / "classification_test.csv"
        assert passerby("predict", toy_data, "--model", trained, "--out", target).code == 0
        rows = list(csv.DictReader(target.open()))
        assert list(rows[0]) == ["id", *COURSE.columns]
        names = sorted(p.name for p in (toy_data / "test").iterdir())
        assert [row["id"] for row in rows] == names
        model = RuntimeModel.load(trained)
        embeddings = model.embed(read_crops(toy_data, "gallery"))
        for i in (0, 7):
            labels = model.info.decision.labels(embeddings.attributes[i : i + 1], COURSE)[0]
            expected = COURSE.decode(labels, embeddings.attributes[i])
            assert {c: int(rows[i][c]) for c in COURSE.columns} == expected

    def test_the_file_is_read_back(self, passerby, trained, toy_data, tmp_path) -> None:
        """What predict writes is an annotation file of the same format."""
        target = tmp_path / "out.csv"
        passerby("predict", toy_data / "queries", "--model", trained, "--out", target)
        for row in csv.DictReader(target.open()):
            COURSE.encode({c: int(row[c]) for c in COURSE.columns})

    def test_one_image(self, passerby, trained: Path, toy_data: Path) -> None:
        image = min((toy_data / "queries").iterdir())
        result = passerby("predict", image, "--model", trained)
        assert result.code == 0
        for field in ("age", "backpack", "gender", "upcolor", "%"):
            assert field in result.out

    def test_json(self, passerby, trained: Path, toy_data: Path) -> None:
        image = min((toy_data / "queries").iterdir())
        value = json.loads(passerby("predict", image, "--model", trained, "--json").out)
        assert list(value[str(image)]) == list(COURSE.attributes)

    def test_a_full_disk(self, passerby, trained, toy_data, tmp_path, monkeypatch) -> None:
        target = tmp_path / "out.csv"
        target.write_text("yesterday's")
        write = Path.write_text

        def full(path: Path, text: str, **options: object) -> int:
            write(path, text[:100], **options)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        result = passerby("predict", toy_data / "queries", "--model", trained, "--out", target)
        monkeypatch.undo()
        assert result.code == 2
        assert "the disk is full: free some space" in result.err
        assert target.read_text() == "yesterday's"
        assert list(tmp_path.iterdir()) == [target]


class TestTrain:
    def test_the_run_tells_what_to_do_next(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        result = passerby("train", "smoke", "--data", toy_data, "--out", run, *SMALL)
        assert result.code == 0
        assert "epoch 2/2" in result.err
        assert "passerby evaluate" in result.err

    def test_a_misspelt_key(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        command = ("train", "smoke", "--data", toy_data, "--out", tmp_path / "run")
        result = passerby(*command, "--set", "model.atention.kind=both")
        assert result.code == 2
        assert "unknown key 'model.atention': did you mean 'attention'?" in result.err
        assert list(tmp_path.iterdir()) == []

    def test_a_broken_crop_leaves_no_model(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        data = Path(shutil.copytree(toy_data, tmp_path / "toy"))
        victim = min((data / "train").iterdir())
        victim.write_bytes(victim.read_bytes()[:200])
        run = tmp_path / "run"
        result = passerby(
            "train", "smoke", "--data", data, "--out", run, *SMALL, "--set=data.held_out_persons=0"
        )
        assert result.code == 2
        assert victim.name in result.err
        assert not (run / "model").exists()

    def test_killed_and_resumed(self, toy_data: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        command = [sys.executable, "-m", "passerby.cli.main", "train", "smoke", *SMALL]
        command += [f"--data={toy_data}", f"--out={run}", "--set=phases.0.epochs=40"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("epoch 2/"):
                    process.kill()
        epochs = len((run / "log.csv").read_text().splitlines()) - 1
        assert 1 < epochs < 41
        resumed = subprocess.run(
            [*command, "--resume"], check=True, stderr=subprocess.PIPE, text=True
        )
        first = next(n for n in resumed.stderr.splitlines() if n.startswith("epoch"))
        assert int(first.split()[1].split("/")[0]) in (epochs, epochs + 1)
        assert (run / "model" / "model.json").is_file()


def test_a_missing_extra_is_named(passerby, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("passerby.cli.extras.find_spec", lambda _: None)
    for command in (("demo", "--out", tmp_path / "d"), ("train", "smoke", "--data=x", "--out=y")):
        result = passerby(*command)
        assert result.code == 2
        assert "pip install 'passerby[train]'" in result.err


def test_a_demo_in_the_way(passerby, tmp_path: Path) -> None:
    result = passerby("demo", "--out", tmp_path)
    assert result.code == 2
    assert "exists already: remove it" in result.err


WITHOUT_TORCH = """
import sys
from passerby.cli.main import main
sys.argv = ["passerby", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = sorted({m.split(".")[0] for m in sys.modules} & {"torch", "timm", "pandas", "matplotlib"})
print("HEAVY", heavy, file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["--help", "predict", "evaluate", "describe", "labels", "toy"])
def test_the_runtime_never_imports_torch(
    command: str, trained: Path, toy_data: Path, tmp_path: Path
) -> None:
    arguments = {
        "--help": ["--help"],
        "predict": ["predict", toy_data / "queries", "--model", trained, "--out", tmp_path / "o"],
        "evaluate": ["evaluate", trained, "--data", toy_data, "--json"],
        "describe": ["data", "describe", toy_data],
        "labels": ["data", "labels", toy_data, "--out", tmp_path / "l.csv"],
        "toy": ["data", "toy", tmp_path / "toy", "--persons", "3"],
    }[command]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert result.stderr.splitlines()[-1] == "HEAVY []"
