"""The commands as a person runs them, in a process of their own where start-up matters."""

import csv
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from linear_network import SIZE, network
from PIL import Image

from passerby.calibration import choose_matcher, pool_attributes
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.datasets.manifest import write_manifest
from passerby.datasets.market1501_attributes import (
    COLUMNS,
    MARKET1501_ATTRIBUTES,
    decode,
    encode,
)
from passerby.inference import RuntimeModel, read_embeddings, write_model_info
from passerby.inference.leakage import SeenFiles
from passerby.inference.model_info import describe_files, read_model_info
from passerby.toy import write_toy

SMALL = [
    "--set=data.held_out_persons=6",
    "--set=model.backbone=test_resnet",
    "--set=model.size=[64, 32]",
    "--set=phases.0.epochs=1",
    "--set=phases.1.epochs=1",
]


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
    for command in ("demo", "data", "train", "evaluate", "predict", "embed", "rank", "calibrate"):
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
        assert rows[0] == ["id", *MARKET1501_ATTRIBUTES.names]
        crops = read_crops(toy_data)
        ids, first = np.unique(crops.person, return_index=True)
        assert [row[0] for row in rows[1:]] == ids.tolist()
        assert [[int(v) for v in row[1:]] for row in rows[1:]] == crops.labels[first].tolist()

    def test_persons_of_one_name_in_two_datasets(self, passerby, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg"):
            Image.new("RGB", (32, 64), "red").save(tmp_path / name)
        table = tmp_path / "crops.csv"
        table.write_text("path,dataset,person,hat\na.jpg,x,7,1\nb.jpg,y,7,0\n")
        target = tmp_path / "labels.csv"
        assert passerby("data", "labels", table, "--out", target).code == 0
        assert target.read_text() == "dataset,id,hat\nx,7,1\ny,7,0\n"

    def test_one_split_is_converted(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        result = passerby(
            "data", "convert", toy_data, "--to", "market1501", "--out", tmp_path / "market"
        )
        assert result.code == 2
        assert "choose other splits with --split" in result.err
        assert not (tmp_path / "market").exists()
        command = ("data", "convert", toy_data, "--to", "market1501", "--split", "train")
        assert passerby(*command, "--out", tmp_path / "market").code == 0
        assert len(read_crops(tmp_path / "market")) == len(read_crops(toy_data))

    def test_a_manifest_is_not_written_over_itself(self, passerby, tmp_path: Path) -> None:
        Image.new("RGB", (32, 64), "red").save(tmp_path / "a.jpg")
        table = tmp_path / "crops.csv"
        table.write_text("path,person\na.jpg,7\n")
        for data in (tmp_path, table):
            result = passerby("data", "convert", data, "--out", table)
            assert result.code == 2
            assert "belongs to the data that are read: choose another file" in result.err
        assert table.read_text() == "path,person\na.jpg,7\n"

    def test_labels_need_annotations(self, passerby, toy_data: Path) -> None:
        result = passerby("data", "labels", toy_data / "test")
        assert result.code == 2
        assert "no attribute annotations" in result.err

    def test_toy(self, passerby, tmp_path: Path) -> None:
        result = passerby("data", "toy", tmp_path / "toy", "--persons", 4, "--seed", 3)
        assert result.code == 0
        assert read_crops(tmp_path / "toy").person_count == 4

    def test_toy_into_a_full_folder(self, passerby, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        result = passerby("data", "toy", tmp_path, "--persons", 4)
        assert result.code == 2
        assert str(tmp_path) in result.err.replace(" ", "")


class TestModelImport:
    def test_a_network_is_used_everywhere(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        file = network(tmp_path / "linear.onnx", outputs=("embedding", "crops_out"))
        (tmp_path / "linear.yaml").write_text("size: 16x8\noutput: crops_out\nname: mine\n")
        made = passerby("model", "import", file, "--out", tmp_path / "m")
        assert made.code == 0, made.err
        assert f"mine: vectors of {SIZE} numbers" in made.err
        assert passerby("calibrate", tmp_path / "m", "--data", toy_data).code == 0
        found = json.loads(passerby("evaluate", tmp_path / "m", "--data", toy_data, "--json").out)
        assert "attributes" not in found
        assert found["retrieval"]["answer_sets"]
        text = passerby("predict", toy_data, "--model", tmp_path / "m")
        assert text.code == 2
        assert "was not trained on attributes" in text.err

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "Which size .*linear.onnx takes is not known: give --size, like 256x128"),
            (["--size", "16"], "--size is '16'"),
            (["--size", "16x8", "--mean", "1,2"], "--mean is '1,2': write three numbers"),
            (["--size", "16x8", "--mean", "nan,0,0"], "--mean is 'nan,0,0': write three finite"),
            (["--size", "16x8", "--std", "inf,1,1"], "--std is 'inf,1,1': write three finite"),
            (["--size", "16x8", "--mean", "123.7,116.3,103.5"], "divide them by 255"),
            (["--size", "16x8", "--std", "0.2,0.2,0"], "--std is '0.2,0.2,0': input should be"),
            (["--size", "4x4"], "--size is '4x4': input should be greater than or equal to 8"),
        ],
    )
    def test_what_it_is_not_told(
        self, passerby, tmp_path: Path, options: list[str], message: str
    ) -> None:
        file = network(tmp_path / "linear.onnx")
        result = passerby("model", "import", file, "--out", tmp_path / "m", *options)
        assert result.code == 2
        assert re.search(message, result.err)
        assert not (tmp_path / "m").exists()

    def test_a_sidecar_that_is_not_understood(self, passerby, tmp_path: Path) -> None:
        file = network(tmp_path / "linear.onnx")
        for text, message in (
            ("sice: 16x8", "has the key 'sice'"),
            ("[", "is not valid YAML"),
            ("size: 16x8\nsize: 8x16", "(size is given twice)"),
            ("size: 16x8\nmean: [true, false, true]", "linear.yaml: mean is [True, False, True]"),
            ("size: [16, 8]", "linear.yaml: size is '[16, 8]': write height and width"),
            ("size: 16x8\nmean: .nan", "linear.yaml: mean is nan: write three numbers"),
        ):
            (tmp_path / "linear.yaml").write_text(text)
            result = passerby("model", "import", file, "--out", tmp_path / "m")
            assert result.code == 2
            assert message in result.err


class TestModelShow:
    def test_what_it_learned_from(self, passerby, trained: Path, tmp_path: Path) -> None:
        told = json.loads(passerby("model", "show", trained, "--json").out)
        info = RuntimeModel.load(trained).info
        (origin,) = told["learned_from"]
        assert origin["crops"] == info.training.crops
        assert "academic research only" in origin["terms"]
        assert told["attributes"] == list(MARKET1501_ATTRIBUTES.names)
        assert len(told["distances"]) == len(info.distances)
        shown = passerby("model", "show", trained).out
        assert f"{info.embedding_size} numbers" in shown
        assert f"{origin['crops']:,} │" in shown
        file = network(tmp_path / "linear.onnx")
        passerby("model", "import", file, "--size", "16x8", "--out", tmp_path / "m")
        assert "What it learned from is not known." in passerby("model", "show", tmp_path / "m").out
        missing = passerby("model", "show", tmp_path / "none")
        assert missing.code == 2


class TestEvaluate:
    def test_several_datasets_and_another_model(
        self, passerby, trained: Path, toy_data, tmp_path: Path
    ) -> None:
        write_toy(tmp_path / "others", 8, seed=5, crops_per_person=4)
        command = ("evaluate", trained, "--data", toy_data, "--data", tmp_path / "others")
        sets = json.loads(passerby(*command, "--json").out)["sets"]
        alone = json.loads(passerby("evaluate", trained, "--data", toy_data, "--json").out)
        assert list(sets) == [toy_data.name, "others"]
        assert sets[toy_data.name] == alone
        shown = passerby(*command).out
        across = alone["retrieval"]["across_cameras"]
        assert f"across │ {across['top1']:.3f} │ {across['map']:.3f}" in shown
        assert f"{sets['others']['attributes']['ma']:.3f}" in shown
        again = tmp_path / "again"
        shutil.copytree(trained / "model", again)
        renamed = read_model_info(again).model_copy(update={"name": "again"})
        write_model_info(again, renamed)
        found = json.loads(passerby(*command, "--compare", again, "--json").out)["sets"]
        for result in found.values():
            assert (result["compared"]["map"], result["compared"]["top1"]) == (0, 0)
        line = passerby("evaluate", trained, "--data", toy_data, "--compare", again).out
        assert "Beside the other model: top-1 +0.000" in line
        itself = passerby(*command, "--compare", trained)
        assert itself.code == 2
        assert "--compare is the model itself" in itself.err
        # the other model knows the files of one person more
        crops = read_crops(tmp_path / "others")
        theirs = crops[crops.person == crops.person[0]]
        SeenFiles.of(training=theirs).write(again)
        write_model_info(
            again, renamed.model_copy(update=describe_files(again, renamed.preprocessing))
        )
        result = passerby(*command, "--compare", again)
        assert result.code == 0, result.err
        assert f"without {len(theirs)} crops of the split train: the other model" in result.err
        (tmp_path / "link").symlink_to(toy_data)
        for place in (toy_data, tmp_path / "link"):
            twice = passerby("evaluate", trained, "--data", toy_data, "--data", place)
            assert twice.code == 2
            assert "The same place is given twice" in twice.err

    def test_what_is_wrong_with_one_of_several_is_found_first(
        self, passerby, trained: Path, toy_data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_toy(tmp_path / "seen", 8, seed=5, crops_per_person=4)
        copy = tmp_path / "model"
        shutil.copytree(trained / "model", copy)
        SeenFiles.of(training=read_crops(tmp_path / "seen")).write(copy)
        info = read_model_info(copy)
        write_model_info(copy, info.model_copy(update=describe_files(copy, info.preprocessing)))
        monkeypatch.setattr(RuntimeModel, "embed", None)
        both = ("--data", toy_data, "--data", tmp_path / "seen")
        result = passerby("evaluate", copy, *both)
        assert result.code == 2
        assert "seen: The model smoke was trained on all of these crops" in result.err
        shutil.copytree(tmp_path / "seen", tmp_path / "copy")
        result = passerby(
            "evaluate", trained, "--data", tmp_path / "seen", "--data", tmp_path / "copy"
        )
        assert result.code == 2
        assert "seen and copy hold the same picture" in result.err
        plain = tmp_path / "plain"
        shutil.copytree(toy_data / "test", plain)
        result = passerby("evaluate", trained, "--data", toy_data, "--data", plain)
        assert result.code == 2
        assert "plain: These crops have no persons and no labels" in result.err

    def test_what_cannot_be_compared(
        self, passerby, trained: Path, toy_data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = network(tmp_path / "linear.onnx")
        other = tmp_path / "other"
        assert passerby("model", "import", file, "--size", "16x8", "--out", other).code == 0
        monkeypatch.setattr(RuntimeModel, "embed", None)
        compared = ("--compare", other)
        result = passerby(
            "evaluate", trained, "--data", toy_data, *compared, "--features", "attributes"
        )
        assert result.code == 2
        assert "The other model: The model was not trained on attributes" in result.err
        write_toy(tmp_path / "others", 4, seed=5, crops_per_person=2)
        manifest = tmp_path / "looks.csv"
        looks = read_crops(tmp_path / "others").replace(person=None)
        write_manifest(manifest, {"train": looks})
        result = passerby("evaluate", trained, "--data", manifest, *compared)
        assert result.code == 2
        assert "--compare compares how persons are found" in result.err

    @pytest.mark.parametrize("harm", ["missing", "another"])
    def test_what_the_model_has_seen_is_known(
        self, passerby, trained: Path, toy_data, tmp_path: Path, harm: str
    ) -> None:
        """Else its training persons would be scored."""
        copy = tmp_path / "model"
        shutil.copytree(trained / "model", copy)
        if harm == "missing":
            (copy / "seen_files.npz").unlink()
        else:
            SeenFiles.of().write(copy)
        result = passerby("evaluate", copy, "--data", toy_data)
        assert result.code == 2
        assert "seen_files.npz" in result.err

    def test_a_mapping_that_maps_nothing(self, passerby, trained: Path, toy_data) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--mapping", "nowhere.yaml")
        assert result.code == 2
        assert "nothing is mapped: leave out --mapping" in result.err

    def test_a_split_that_is_not_there(self, passerby, trained: Path, tmp_path: Path) -> None:
        Image.new("RGB", (32, 64), "red").save(tmp_path / "a.png")
        result = passerby("evaluate", trained, "--data", tmp_path, "--split", "nosuch")
        assert result.code == 2
        assert "'nosuch' is not a split of plain images: choose from train" in result.err

    def test_only_held_out_persons_are_scored(self, passerby, trained: Path, toy_data) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--json")
        value = json.loads(result.out)["attributes"]
        assert (value["persons"], value["crops"]) == (6, 36)
        assert {"f1", "f1_ci", "defined", "instance", "official12", "per_attribute"} <= set(value)

    def test_attributes_averaged_over_the_crops_of_one_person(
        self, passerby, trained: Path, toy_data: Path
    ) -> None:
        found = json.loads(passerby("evaluate", trained, "--data", toy_data, "--json").out)
        alone, pooled = found["attributes"], found["attributes_pooled"]
        assert (pooled["persons"], pooled["crops"]) == (6, 36)
        assert pooled["per_attribute"] != alone["per_attribute"]
        told = passerby("evaluate", trained, "--data", toy_data).out
        assert f"F1 {pooled['f1']:.3f}" in told.replace("\n", " ")

    def test_the_tables(self, passerby, trained: Path, toy_data: Path) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--decision", "fixed")
        assert result.code == 0
        for expected in ("backpack", "all 32", "defined", "36 crops of 6 persons", "rule: fixed"):
            assert expected in result.out

    def test_other_data_are_scored_whole(self, passerby, trained: Path, tmp_path: Path) -> None:
        passerby("data", "toy", tmp_path / "toy", "--persons", 5, "--seed", 9)
        result = passerby("evaluate", trained, "--data", tmp_path / "toy", "--json")
        assert json.loads(result.out)["attributes"]["persons"] == 5
        assert "was trained on nothing of the split train: all of it is scored" in result.err

    def test_crops_that_it_learned_from_without_annotation(
        self, passerby, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        passerby("data", "toy", tmp_path / "toy", "--persons", 5, "--seed", 9)
        crops = read_crops(tmp_path / "toy")
        model = Path(shutil.copytree(trained / "model", tmp_path / "model"))
        info = read_model_info(model)
        SeenFiles.of(training=read_crops(toy_data), unlabelled=crops).write(model)
        files = describe_files(model, info.preprocessing)
        write_model_info(model, info.model_copy(update=files))
        result = passerby("evaluate", tmp_path / "model", "--data", tmp_path / "toy")
        assert "learned from the crops of train, though not from their annotation" in result.err
        assert "not trained on a part" not in result.err

    def test_a_rule_the_model_does_not_have(self, passerby, trained: Path, toy_data) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--decision", "thresholds")
        assert result.code == 0
        assert "rule: thresholds" in result.out

    def test_both_tasks(self, passerby, trained: Path, toy_data: Path) -> None:
        result = passerby("evaluate", trained, "--data", toy_data)
        for expected in ("mAP", "mINP", "best F2", "gap", "6 queries of 6 persons, 30 gallery"):
            assert expected in result.out

    def test_the_retrieval_object(self, passerby, trained: Path, toy_data: Path) -> None:
        options = ("--features", "attributes", "--metric", "euclidean", "--ap", "trapezoid")
        result = passerby("evaluate", trained, "--data", toy_data, "--json", *options)
        found = json.loads(result.out)["retrieval"]
        assert (found["features"], found["distance"]) == ("attributes", "euclidean plain")
        assert (found["protocol"], found["cameras"]) == ("course", "ignored")
        assert (found["queries"], found["skipped"], found["gallery"]) == (6, 0, 30)
        assert found["average_precision"] == "trapezoid"
        assert {"top1", "top5", "top10", "map", "minp", "map_ci", "cmc", "slices"} <= set(found)
        assert [sets["rule"] for sets in found["answer_sets"]] == [
            "best F2",
            "recall 0.9",
            "FMR 0.001",
            "gap",
        ]

    def test_reranking_has_lines_of_its_own(
        self, passerby, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "report.html"
        options = ("--data", toy_data, "--rerank")
        told = passerby("evaluate", trained, *options, "--report", target).out
        assert "mAP, re-ranked" in told
        assert "a single search cannot reach these figures" in told
        assert "mAP (plain), re-ranked" in target.read_text()
        found = json.loads(passerby("evaluate", trained, *options, "--json").out)["retrieval"]
        assert 0 <= found["reranked"]["map"] <= 1
        assert found["reranked"]["k1"] == 20

    def test_across_cameras(self, passerby, trained: Path, toy_data: Path) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, "--json", "--protocol", "market")
        found = json.loads(result.out)["retrieval"]
        assert (found["protocol"], found["cameras"]) == ("market", "cross")
        assert found["queries"] + found["skipped"] > 6

    def test_a_report(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        target = tmp_path / "report.html"
        result = passerby("evaluate", trained, "--data", toy_data, "--report", target)
        assert result.code == 0
        assert target.read_text().count("data:image/jpeg") > 12

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--protocol", "x"), "no protocol 'x': choose from course, market"),
            (("--cameras", "x"), "--cameras is 'x': choose 'ignored' or 'cross'"),
            (("--features", "x"), "--features is 'x': choose from embedding"),
            (("--ap", "x"), "no average precision 'x': choose from plain, trapezoid"),
            (("--features", "both", "--kind", "learned"), "no learned distance of that sort"),
        ],
    )
    def test_wrong_options(
        self, passerby, trained: Path, toy_data: Path, options, message: str
    ) -> None:
        result = passerby("evaluate", trained, "--data", toy_data, *options)
        assert result.code == 2
        assert message in result.err


@pytest.fixture
def rank(passerby, trained: Path, toy_data: Path, tmp_path: Path):
    """Ranks toy_data's test crops for its queries, into tmp_path."""

    def run(*options: object, queries: Path | None = None, gallery: Path | None = None):
        parts = (
            *("--queries", queries or toy_data / "queries"),
            *("--gallery", gallery or toy_data / "test"),
            *("--model", trained, "--out", tmp_path / "reid_test.txt"),
        )
        return passerby("rank", *parts, *options)

    return run


def test_a_reader_that_has_seen_enough(trained: Path, toy_data: Path) -> None:
    command = [sys.executable, "-m", "passerby", "evaluate", trained, "--data", toy_data, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, complaint = process.communicate(timeout=120)
    assert "Traceback" not in complaint
    assert "Exception" not in complaint
    assert process.returncode == 1


def test_a_terminal_that_knows_no_dashes(trained: Path, toy_data: Path) -> None:
    command = [sys.executable, "-m", "passerby", "evaluate", trained, "--data", toy_data]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "mAP" in result.stdout


def test_a_closed_standard_output(toy_data: Path) -> None:
    image = min((toy_data / "test").iterdir())
    command = f"{sys.executable} -m passerby predict {image} --json >&-"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


class TestExplain:
    def test_a_picture(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        image = next((toy_data / "test").iterdir())
        target = tmp_path / "why.png"
        result = passerby("explain", image, "--model", trained, "--out", target)
        assert result.code == 0, result.err
        assert target.read_bytes().startswith(b"\x89PNG")
        chosen = ("--attributes", "hat, bag")
        result = passerby("explain", image, "--model", trained, "--out", target, *chosen)
        assert result.code == 0, result.err

    def test_one_age_and_one_colour_under_every_rule(
        self, passerby, monkeypatch, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        """As `predict` has it; these thresholds let every attribute through."""
        model = tmp_path / "model"
        shutil.copytree(trained / "model", model)
        values = json.loads((model / "model.json").read_text())
        values["decision"] = {
            "rule": "thresholds",
            "thresholds": [0.0] * len(MARKET1501_ATTRIBUTES),
        }
        (model / "model.json").write_text(json.dumps(values))
        drawn = []
        monkeypatch.setattr(
            "passerby.reporting.explanation.write_explanation", lambda *given: drawn.append(given)
        )
        image = next((toy_data / "test").iterdir())
        result = passerby("explain", image, "--model", model, "--out", tmp_path / "why.png")
        assert result.code == 0, result.err
        ((_, _, _, probabilities, present, _, _),) = drawn
        for _, where, exclusive in MARKET1501_ATTRIBUTES.fields:
            best = probabilities[where] == probabilities[where].max()
            expected = best if exclusive else [True]
            np.testing.assert_array_equal(present[where], expected)

    def test_bad_input(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        image = next((toy_data / "test").iterdir())
        target = ("--out", tmp_path / "why.png")
        result = passerby("explain", image, "--model", trained, *target, "--attributes", "helmet")
        assert result.code == 2
        assert "'helmet' is not an attribute" in result.err
        result = passerby("explain", tmp_path / "no.jpg", "--model", trained, *target)
        assert result.code == 2
        assert not list(tmp_path.iterdir())


class TestExport:
    def test_half_precision(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        small = tmp_path / "small"
        result = passerby("export", trained, "--out", small)
        assert result.code == 0, result.err
        image = next((toy_data / "test").iterdir())
        before, after = (
            json.loads(passerby("predict", image, "--model", model, "--json").out)[str(image)]
            for model in (trained, small)
        )
        assert before != after
        assert before == pytest.approx(after, abs=0.02)

    def test_a_copy_of_the_model_that_ships(self, passerby, toy_data, tmp_path) -> None:
        """To be calibrated on one's own people."""
        mine = tmp_path / "mine"
        result = passerby("export", "--out", mine)
        assert result.code == 0, result.err
        assert "it is in half precision already" in result.err
        before = RuntimeModel.load().info
        assert RuntimeModel.load(mine).info == before
        result = passerby("calibrate", mine, "--data", toy_data)
        assert result.code == 0, result.err
        assert RuntimeModel.load(mine).info.distances != before.distances
        result = passerby("evaluate", "--data", toy_data, "--json")
        assert result.code == 0, result.err
        assert json.loads(result.out)["attributes"]["crops"] == len(read_crops(toy_data))

    def test_bad_input(self, passerby, trained: Path, tmp_path: Path) -> None:
        result = passerby("export", trained, "--out", trained)
        assert result.code == 2
        assert "exists: choose another place" in result.err
        result = passerby("export", trained, "--out", tmp_path / "x", "--precision", "int3")
        assert result.code == 2
        assert "--precision is 'int3': choose fp16 or int8" in result.err
        result = passerby("export", trained, "--out", tmp_path / "x", "--data", tmp_path)
        assert result.code == 2
        assert "--data is for --precision int8: leave it out" in result.err

    def test_8_bits(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        small = tmp_path / "small"
        result = passerby(
            "export", trained, "--out", small, "--precision", "int8", "--data", toy_data
        )
        assert result.code == 0, result.err
        assert re.search(r"\d+ of \d+ layers in 8 bits: cosines of 0\.99", result.err)
        assert f"Written to {small}: " in result.err
        rank = ("rank", "--queries", toy_data / "queries", "--gallery", toy_data / "test")
        result = passerby(*rank, "--model", small, "--out", tmp_path / "answers.txt")
        assert result.code == 0, result.err
        result = passerby("export", small, "--out", tmp_path / "again")
        assert result.code == 2
        assert "computes in 8 bits already" in result.err


class TestRank:
    def test_every_query_has_its_line(self, rank, toy_data: Path, tmp_path: Path) -> None:
        result = rank()
        assert result.code == 0
        lines = (tmp_path / "reid_test.txt").read_text().splitlines()
        queries = sorted(path.name for path in (toy_data / "queries").iterdir())
        assert [line.split(":")[0] for line in lines] == queries
        offered = {path.name for path in (toy_data / "test").iterdir()}
        named = [name for line in lines for name in line.split(":")[1].split(",") if name]
        assert {name.strip() for name in named} <= offered
        assert f"Answer sets of {len(queries)} queries" in result.err

    def test_nearest_first(self, rank, tmp_path: Path, trained: Path, toy_data: Path) -> None:
        """Against distances computed one by one."""
        assert rank("--top-k", 3, "--features", "embedding").code == 0
        model = RuntimeModel.load(trained)
        asked = model.embed(read_crops(toy_data / "queries"))
        searched = model.embed(read_crops(toy_data / "test"))
        lines = dict(
            line.split(": ") for line in (tmp_path / "reid_test.txt").read_text().splitlines()
        )
        for path, vector in zip(asked.crops.paths, asked.vectors, strict=True):
            apart = [float(((vector - other) ** 2).sum()) for other in searched.vectors]
            nearest = sorted(range(len(apart)), key=apart.__getitem__)[:3]
            expected = [searched.crops.paths[row].name for row in nearest]
            assert lines[path.name].split(", ") == expected

    def test_empty_sets_are_written(self, rank, toy_data: Path, tmp_path: Path) -> None:
        result = rank("--threshold", 0)
        count = len(list((toy_data / "queries").iterdir()))
        assert f"{count} empty" in result.err
        lines = (tmp_path / "reid_test.txt").read_text().splitlines()
        assert [line[-1] for line in lines] == [":"] * count

    def test_json_has_distances_and_probabilities(self, rank) -> None:
        value = json.loads(rank("--recall", 0.5, "--json").out)
        answers = [answer for found in value["queries"].values() for answer in found]
        assert answers
        assert all(0 <= a["probability"] <= 1 and a["distance"] >= 0 for a in answers)
        for found in value["queries"].values():
            assert [a["distance"] for a in found] == sorted(a["distance"] for a in found)

    def test_embeddings_instead_of_crops(
        self, passerby, rank, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        assert rank().code == 0
        expected = (tmp_path / "reid_test.txt").read_text()
        stored = tmp_path / "stored"
        passerby("embed", toy_data / "test", "--model", trained, "--out", stored)
        assert rank(gallery=stored).code == 0
        assert (tmp_path / "reid_test.txt").read_text() == expected

    def test_embeddings_with_mirror_images(
        self, passerby, rank, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        stored = tmp_path / "stored"
        passerby("embed", toy_data / "test", "--model", trained, "--out", stored, "--flip")
        result = rank(gallery=stored)
        assert result.code == 2
        assert "was embedded with --flip: give it here too, or embed again" in result.err
        assert rank("--flip", gallery=stored).code == 0

    def test_embeddings_of_another_model(
        self, passerby, rank, model_file: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        stored = tmp_path / "stored"
        passerby("embed", toy_data / "test", "--model", model_file, "--out", stored)
        result = rank(gallery=stored)
        assert result.code == 2
        assert "was embedded with another model (" in result.err
        assert not (tmp_path / "reid_test.txt").exists()

    def test_a_broken_query(self, rank, toy_data: Path, tmp_path: Path) -> None:
        shutil.copytree(toy_data / "queries", tmp_path / "queries")
        broken = min((tmp_path / "queries").iterdir())
        broken.write_bytes(b"no image")
        result = rank(queries=tmp_path / "queries")
        assert result.code == 2
        assert broken.name in result.err
        assert not (tmp_path / "reid_test.txt").exists()
        result = rank("--skip-broken", queries=tmp_path / "queries")
        assert result.code == 0
        assert "Skipped" in result.err
        lines = (tmp_path / "reid_test.txt").read_text().splitlines()
        assert broken.name not in [line.split(":")[0] for line in lines]

    def test_the_same_name_in_two_folders(self, rank, toy_data: Path, tmp_path: Path) -> None:
        crop = min((toy_data / "test").iterdir())
        for person in ("1", "2"):
            (tmp_path / "people" / person).mkdir(parents=True)
            shutil.copy(crop, tmp_path / "people" / person / "a.jpg")
        assert rank("--top-k", 2, gallery=tmp_path / "people").code == 0
        line = (tmp_path / "reid_test.txt").read_text().splitlines()[0]
        assert line.endswith(": 1/a.jpg, 2/a.jpg")

    def test_a_crop_is_no_answer_to_itself(self, rank, toy_data: Path, tmp_path: Path) -> None:
        folder = toy_data / "test"
        assert rank("--top-k", 1, queries=folder, gallery=folder).code == 0
        for line in (tmp_path / "reid_test.txt").read_text().splitlines():
            query, answer = line.split(": ")
            assert query != answer

    def test_a_dataset_has_queries_and_a_gallery(
        self, rank, toy_data: Path, tmp_path: Path
    ) -> None:
        assert rank().code == 0
        expected = (tmp_path / "reid_test.txt").read_text()
        assert rank(queries=toy_data, gallery=toy_data).code == 0
        assert (tmp_path / "reid_test.txt").read_text() == expected

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--top-k", 3, "--gap"), "--top-k and --gap exclude each other"),
            (("--recall", 1.5), "The wanted recall is 1.5"),
            (("--beta", -1), "beta is -1"),
            (("--features", "both", "--metric", "euclidean"), "is not calibrated"),
            (("--out", "/proc/x/reid_test.txt"), "Cannot write to /proc/x/reid_test.txt"),
        ],
    )
    def test_wrong_options(self, rank, options, message: str) -> None:
        result = rank(*options)
        assert result.code == 2
        assert message in result.err


class TestCalibrate:
    def test_on_the_persons_kept_back(
        self, passerby, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        run = tmp_path / "run"
        shutil.copytree(trained, run)
        info = RuntimeModel.load(run).info
        assert len(info.distances) == 7
        info_path = run / "model" / "model.json"
        before = json.loads(info_path.read_text())
        info_path.write_text(json.dumps({**before, "distances": []}))
        result = passerby("evaluate", run, "--data", toy_data)
        assert "not calibrated, so there are neither answer sets nor averages" in result.err
        result = passerby("calibrate", run, "--data", toy_data)
        assert result.code == 0
        assert "calibrated on 8 persons" in result.err
        after = json.loads(info_path.read_text())

        def sort_of(fitted: dict) -> tuple:
            """What sort of distance it is; their order is by mAP, which may be as good as equal."""
            distance = fitted["distance"]
            filled = sorted(key for key, value in distance.items() if value is not None)
            return distance["features"], distance["metric"], filled

        pairs = (sorted(info["distances"], key=sort_of) for info in (before, after))
        for old, new in zip(*pairs, strict=True):
            assert sort_of(old) == sort_of(new)
            assert new["calibration"]["same"] == pytest.approx(old["calibration"]["same"], abs=0.05)

    def test_by_folds(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        """What was measured on other people before is forgotten."""
        run = tmp_path / "run"
        shutil.copytree(trained, run)
        fold = ("--data", toy_data, "--fold", trained)
        result = passerby("calibrate", run, *fold)
        assert result.code == 2
        assert f"{trained} is the model itself: give runs that held somebody out" in result.err
        info = read_model_info(run / "model")
        renamed = info.model_copy(update={"name": "renamed"})
        write_model_info(run / "model", renamed)
        result = passerby("calibrate", run, *fold)
        assert result.code == 2
        assert "held out some of the same persons, on whom the model would be" in result.err
        shutil.copytree(trained, tmp_path / "copy")
        result = passerby("calibrate", run, *fold, "--fold", tmp_path / "copy")
        assert result.code == 2
        assert "Two of the folds are the same model" in result.err
        held_out = sum(map(len, info.training.held_out_persons.values()))
        everybody = info.training.model_copy(update={"held_out_persons": {}})
        write_model_info(run / "model", info.model_copy(update={"training": everybody}))
        people = tmp_path / "people"
        assert passerby("data", "toy", people, "--persons", 8, "--seed", 5).code == 0
        assert passerby("calibrate", run, "--data", people).code == 0
        assert len(RuntimeModel.load(run).seen.calibration)
        result = passerby("calibrate", run, *fold)
        assert result.code == 0, result.err
        assert not len(RuntimeModel.load(run).seen.calibration)
        assert f"calibrated on {held_out} persons" in result.err

    def test_by_folds_that_left_a_dataset_out(
        self, passerby, trained: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        """Persons of both count: the held-out ones, and all of whom the fold knows nothing."""
        run, other = tmp_path / "run", tmp_path / "other"
        shutil.copytree(trained, run)
        info = read_model_info(run / "model")
        held_out = sum(map(len, info.training.held_out_persons.values()))
        everybody = info.training.model_copy(update={"held_out_persons": {}})
        write_model_info(run / "model", info.model_copy(update={"training": everybody}))
        assert passerby("data", "toy", other, "--persons", 7, "--seed", 5).code == 0
        both = ("--data", toy_data, "--data", other)
        result = passerby("calibrate", run, *both, "--fold", trained)
        assert result.code == 0, result.err
        assert f"calibrated on {held_out + 7} persons" in result.err
        alone = passerby("calibrate", run, "--data", toy_data, "--fold", trained)
        assert alone.code == 0
        one = RuntimeModel.load(run).info.distances
        passerby("calibrate", run, *both, "--fold", trained)
        assert RuntimeModel.load(run).info.distances != one
        twice = passerby("calibrate", run, *both, "--fold", trained, "--fold", trained)
        assert twice.code == 2
        assert "Two of the folds are the same model" in twice.err
        result = passerby("calibrate", run, *both, "--fold", trained, "--pattern", "x/*.jpg")
        assert result.code == 2
        assert "--root and --pattern are for a single dataset" in result.err

    def test_on_people_of_two_datasets(self, passerby, trained: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        shutil.copytree(trained, run)
        for name, seed in (("one", 9), ("two", 10)):
            passerby("data", "toy", tmp_path / name, "--persons", 6, "--seed", seed)
        data = ("--data", tmp_path / "one", "--data", tmp_path / "two")
        assert "on 12 persons" in passerby("calibrate", run, *data).err
        result = passerby("calibrate", run, "--data", tmp_path / "one", "--data", tmp_path / "one")
        assert result.code == 2
        assert "hold the same file" in result.err
        plain = tmp_path / "plain.csv"
        crops = read_crops(tmp_path / "two")
        rows = [f"{path},{person}" for path, person in zip(crops.paths, crops.person, strict=True)]
        plain.write_text("\n".join(["path,person", *rows]))
        result = passerby("calibrate", run, "--data", plain, "--across-cameras")
        assert result.code == 2
        assert "No camera of these crops is known: calibrate on all pairs" in result.err
        cameras = tmp_path / "cameras.csv"
        cameras.write_text("\n".join(["path,person,camera", *(f"{row},1" for row in rows)]))
        result = passerby("calibrate", run, *data[:2], "--data", cameras, "--across-cameras")
        assert result.code == 2
        assert "cameras.csv: nobody of those to calibrate on was seen by two cameras" in result.err
        few = tmp_path / "few.csv"
        few.write_text("\n".join(["path,person", *rows[:6]]))
        result = passerby("calibrate", run, *data[:2], "--data", few)
        assert result.code == 2
        assert re.search("few.csv: there are 6 crops of . persons, too few", result.err)
        both = ("--data", tmp_path / "one", "--data", plain)
        result = passerby("calibrate", run, *both, "--across-cameras")
        assert result.code == 0, result.err
        assert "Of plain.csv no cameras are known: all pairs there count" in result.err
        shutil.copytree(tmp_path / "one", tmp_path / "copy")
        result = passerby("calibrate", run, "--data", tmp_path / "one", "--data", tmp_path / "copy")
        assert result.code == 2
        assert "one and copy hold the same picture" in result.err

    def test_on_other_people(self, passerby, trained: Path, tmp_path: Path) -> None:
        run, other = tmp_path / "run", tmp_path / "toy"
        shutil.copytree(trained, run)
        passerby("data", "toy", other, "--persons", 6, "--seed", 9)
        assert "on 6 persons" in passerby("calibrate", run, "--data", other).err

    def test_nobody_was_kept_back(self, passerby, model_file: Path, toy_data: Path) -> None:
        result = passerby("calibrate", "nowhere", "--data", toy_data)
        assert result.code == 2
        assert "nowhere is not a folder" in result.err

    def test_too_few_persons(self, passerby, trained: Path, tmp_path: Path) -> None:
        passerby("data", "toy", tmp_path / "toy", "--persons", 3)
        before = (trained / "model" / "model.json").read_bytes()
        result = passerby("calibrate", trained, "--data", tmp_path / "toy")
        assert result.code == 2
        assert "of 3 persons, too few to calibrate" in result.err
        assert (trained / "model" / "model.json").read_bytes() == before


class TestReproduce:
    OPTIONS = (
        "--set=data.held_out_persons=6",
        "--set=data.calibration_persons=4",
        "--set=model.backbone=test_resnet",
        "--set=model.size=[64, 32]",
        "--set=model.frozen_stages=0",
        "--set=batch_size=16",
        "--cpu",
        "--weights=none",
        "--budget=0.1",
    )

    @pytest.mark.slow
    def test_both_tables(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        target = tmp_path / "tables"
        command = ("reproduce", "--data", toy_data, "--out", target, *self.OPTIONS)
        assert passerby(*command).code == 0
        results = json.loads((target / "reproduction.json").read_text())
        assert [row["recipe"] for row in results["table1"]] == [
            "course-attributes-cpu",
            "course-attention-cpu",
        ]
        assert [(row["recipe"], row["features"], row["distance"]) for row in results["table2"]] == [
            ("course-reid-cpu", "attributes", "euclidean plain"),
            ("course-reid-cpu", "logits", "normalized_euclidean plain"),
            ("course-reid-cpu", "logits", "normalized_euclidean weighted"),
            ("course-reid-cpu", "logits", "normalized_euclidean learned"),
            ("apr-cpu", "embedding", "normalized_euclidean plain"),
        ]
        text = (target / "reproduction.md").read_text()
        assert "--budget 0.1: every phase was shortened" in text
        assert str(tmp_path) not in text
        assert (target / "reproduction.html").read_text().startswith("<!DOCTYPE html>")
        (target / "reproduction.md").unlink()
        assert passerby(*command, "--no-training").code == 0
        assert (target / "reproduction.md").exists()

    def test_nothing_to_score(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        result = passerby("reproduce", "--data", toy_data, "--out", tmp_path, "--no-training")
        assert result.code == 2
        assert "There is no finished run" in result.err


class TestPredict:
    @pytest.mark.parametrize(
        ("splits", "count"),
        [(("train", "test"), 1), (("train", "gallery", "gallery"), 2), (("train", "train"), 2)],
    )
    def test_the_split_that_it_is_for(
        self, passerby, trained: Path, tmp_path: Path, splits: tuple[str, ...], count: int
    ) -> None:
        rows = ["path,split"]
        for number, split in enumerate(splits):
            Image.new("RGB", (32, 64), "red").save(tmp_path / f"{number}.png")
            rows.append(f"{number}.png,{split}")
        table = tmp_path / "crops.csv"
        table.write_text("\n".join(rows))
        target = tmp_path / "out.csv"
        result = passerby("predict", table, "--model", trained, "--out", target)
        assert result.code == 0, result.err
        assert len(target.read_text().splitlines()) == 1 + count
        assert passerby("embed", table, "--model", trained, "--out", tmp_path / "e").code == 0
        assert len(read_embeddings(tmp_path / "e")) == count

    def test_many_crops(self, passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
        target = tmp_path / "classification_test.csv"
        assert passerby("predict", toy_data, "--model", trained, "--out", target).code == 0
        rows = list(csv.DictReader(target.open()))
        assert list(rows[0]) == ["id", *COLUMNS]
        names = sorted(p.name for p in (toy_data / "test").iterdir())
        assert [row["id"] for row in rows] == names
        model = RuntimeModel.load(trained)
        embeddings = model.embed(read_crops(toy_data, "gallery"))
        for i in (0, 7):
            labels = model.info.decision.labels(
                embeddings.attributes[i : i + 1], MARKET1501_ATTRIBUTES
            )[0]
            expected = decode(labels, embeddings.attributes[i])
            assert {c: int(rows[i][c]) for c in COLUMNS} == expected

    def test_a_folder_in_the_place_of_the_file(self, passerby, toy_data, tmp_path) -> None:
        """Known before the model is loaded, which is not there either."""
        result = passerby("predict", toy_data, "--model", "nowhere", "--out", tmp_path)
        assert result.code == 2
        assert "is a folder: give the name of a file" in result.err

    def test_a_file_in_the_place_of_an_input(self, passerby, trained, toy_data, tmp_path) -> None:
        folder = Path(shutil.copytree(toy_data / "test", tmp_path / "test"))
        model = Path(shutil.copytree(trained / "model", tmp_path / "model"))
        image = min(folder.iterdir())
        for target in (image, model / "model.json"):
            before = target.read_bytes()
            result = passerby("predict", folder, "--model", model, "--out", target)
            assert result.code == 2
            assert "is one of the inputs: choose another place" in result.err
            asked = ("--queries", image, "--gallery", folder, "--out", target)
            result = passerby("rank", *asked, "--model", model)
            assert result.code == 2
            result = passerby("explain", image, "--model", model, "--out", target)
            assert result.code == 2
            assert target.read_bytes() == before

    def test_the_file_is_read_back(self, passerby, trained, toy_data, tmp_path) -> None:
        """What predict writes is an annotation file of the same format."""
        target = tmp_path / "out.csv"
        passerby("predict", toy_data / "queries", "--model", trained, "--out", target)
        for row in csv.DictReader(target.open()):
            encode({c: int(row[c]) for c in COLUMNS})

    def test_one_image(self, passerby, trained: Path, toy_data: Path) -> None:
        image = min((toy_data / "queries").iterdir())
        result = passerby("predict", image, "--model", trained)
        assert result.code == 0
        for field in ("age", "backpack", "gender", "upper colour", "%"):
            assert field in result.out

    def test_averaged_over_the_crops_of_one_person(
        self, passerby, trained: Path, toy_data: Path
    ) -> None:
        options = ("predict", toy_data, "--model", trained, "--json")
        alone, pooled = (json.loads(passerby(*options, *pool).out) for pool in ((), ("--pool",)))
        model = RuntimeModel.load(trained)
        matcher = choose_matcher(model.info)
        assert matcher.calibration is not None
        people = model.embed(read_crops(toy_data, "gallery"))
        expected = pool_attributes(people, matcher.distance, matcher.calibration)
        found = np.array([list(values.values()) for values in pooled.values()])
        np.testing.assert_allclose(found, expected.attributes, atol=1e-6)
        assert alone.keys() == pooled.keys()
        assert alone != pooled

    def test_what_cannot_be_averaged(self, passerby, trained, model_file, toy_data) -> None:
        image = min((toy_data / "queries").iterdir())
        result = passerby("predict", image, "--model", trained, "--pool")
        assert result.code == 2
        assert "--pool averages over many crops: give a folder" in result.err
        result = passerby("predict", toy_data, "--model", model_file, "--pool")
        assert result.code == 2
        assert "distances are not calibrated: see passerby calibrate" in result.err

    def test_json(self, passerby, trained: Path, toy_data: Path) -> None:
        image = min((toy_data / "queries").iterdir())
        value = json.loads(passerby("predict", image, "--model", trained, "--json").out)
        assert list(value[str(image)]) == list(MARKET1501_ATTRIBUTES.names)

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


@pytest.fixture
def damaged(toy_data: Path, tmp_path: Path) -> Path:
    """A folder of ten crops, of which the second is cut off."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for path in sorted((toy_data / "train").iterdir())[:10]:
        shutil.copy(path, folder)
    victim = sorted(folder.iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:200])
    return folder


def test_a_model_of_identity_alone(passerby, trained: Path, toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    info = run / "model" / "model.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "tasks": ["identity"]}))
    result = passerby("predict", toy_data, "--model", run)
    assert result.code == 2
    assert "was not trained on attributes" in result.err


class TestBrokenCrops:
    def test_predict_stops(self, passerby, trained: Path, damaged: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.csv"
        result = passerby("predict", damaged, "--model", trained, "--out", target)
        assert result.code == 2
        assert f"{sorted(damaged.iterdir())[1]} is damaged or cut off" in result.err
        assert not target.exists()

    def test_predict_goes_on(self, passerby, trained: Path, damaged: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.csv"
        command = ("predict", damaged, "--model", trained, "--out", target, "--flip", "--json")
        result = passerby(*command, "--skip-broken")
        assert result.code == 0
        bad = sorted(damaged.iterdir())[1]
        assert f"Skipped: {bad} is damaged or cut off" in result.err
        assert "Attributes of 9 crops written" in result.err
        assert len(target.read_text().splitlines()) == 1 + 9
        value = json.loads(result.out)
        good = [path for path in sorted(damaged.iterdir()) if path != bad]
        assert list(value) == [str(path) for path in good]
        expected = RuntimeModel.load(trained).embed(Crops(tuple(good)), flip=True)
        found = [list(row.values()) for row in value.values()]
        np.testing.assert_allclose(found, expected.attributes, atol=1e-5)


class TestEmbed:
    def test_a_part_of_a_dataset(self, passerby, trained: Path, toy_data: Path, tmp_path) -> None:
        target = tmp_path / "out"
        command = ("embed", toy_data, "--model", trained, "--out", target)
        result = passerby(*command, "--split", "query", "--flip", "--batch-size", 5)
        assert result.code == 0
        crops = read_crops(toy_data, "query")
        assert f"Embeddings of {len(crops)} crops written to {target}." in result.err
        found = read_embeddings(target)
        expected = RuntimeModel.load(trained).embed(crops, flip=True)
        assert found.crops.paths == crops.paths
        np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)

    def test_broken_crops(self, passerby, trained: Path, damaged: Path, tmp_path: Path) -> None:
        target = tmp_path / "out"
        command = ("embed", damaged, "--model", trained, "--out", target)
        result = passerby(*command)
        assert result.code == 2
        assert "is damaged or cut off" in result.err
        assert not target.exists()
        result = passerby(*command, "--skip-broken")
        assert result.code == 0
        assert f"Skipped: {sorted(damaged.iterdir())[1]} is damaged or cut off" in result.err
        assert f"Embeddings of 9 crops written to {target}; 1 skipped." in result.err
        assert len(read_embeddings(target)) == 9

    def test_something_in_the_way(self, passerby, trained: Path, toy_data, tmp_path: Path) -> None:
        result = passerby("embed", toy_data, "--model", trained, "--out", tmp_path)
        assert result.code == 2
        assert "exists and holds no embeddings: choose another place" in result.err

    def test_interrupted(self, passerby, trained, toy_data, tmp_path: Path, monkeypatch) -> None:
        """Ctrl-C says what to do, and the same command goes on."""
        seen: list[int] = []
        run = RuntimeModel.run

        def interrupted(model: RuntimeModel, pixels: np.ndarray) -> object:
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(len(pixels))
            return run(model, pixels)

        monkeypatch.setattr(RuntimeModel, "run", interrupted)
        command = ("embed", toy_data / "train", "--model", trained, "--batch-size", 10)
        command += ("--out", tmp_path / "out")
        result = passerby(*command)
        assert result.code == 130
        assert "the same command goes on after the last finished crop" in result.err
        monkeypatch.setattr(
            RuntimeModel, "run", lambda model, p: seen.append(len(p)) or run(model, p)
        )
        assert passerby(*command).code == 0
        assert sum(seen) == len(read_crops(toy_data / "train"))


class TestTrain:
    def test_the_run_tells_what_to_do_next(self, passerby, toy_data: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        result = passerby("train", "smoke", "--data", toy_data, "--out", run, *SMALL)
        assert result.code == 0
        assert "epoch 2/2" in result.err
        assert "passerby evaluate" in result.err

    def test_nobody_is_left_to_evaluate_on(
        self, passerby, monkeypatch, toy_data: Path, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("passerby.cli.train.train_with_progress", lambda *_: None)
        command = ("train", "smoke", "--data", toy_data, "--out", tmp_path / "run")
        assert "passerby evaluate" in passerby(*command).err
        everybody = passerby(*command, "--set", "data.held_out_persons=0").err
        assert "The model is in" in everybody
        assert "passerby evaluate" not in everybody

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
    found = {"torch": True, "accelerate": False}
    monkeypatch.setattr(
        "passerby.cli.extras.find_spec", lambda module: found.get(module, True) or None
    )
    for command in (("demo", "--out", tmp_path / "d"), ("train", "smoke", "--data=x", "--out=y")):
        result = passerby(*command)
        assert result.code == 2
        assert "of which accelerate is not installed: pip install 'passerby[train]'" in result.err


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


@pytest.mark.parametrize(
    "command", ["--help", "predict", "embed", "evaluate", "rank", "describe", "labels", "toy"]
)
def test_the_runtime_never_imports_torch(
    command: str, trained: Path, toy_data: Path, tmp_path: Path
) -> None:
    arguments = {
        "--help": ["--help"],
        "predict": ["predict", toy_data / "queries", "--model", trained, "--out", tmp_path / "o"],
        "embed": ["embed", toy_data, "--model", trained, "--out", tmp_path / "e"],
        "evaluate": ["evaluate", trained, "--data", toy_data, "--json"],
        "rank": [
            *("rank", "--queries", toy_data / "queries", "--gallery", toy_data / "test"),
            *("--model", trained, "--out", tmp_path / "r.txt"),
        ],
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
