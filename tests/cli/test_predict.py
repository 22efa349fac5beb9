from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.datasets.images.decoding import decoded
from cifar_exp.tracking import read_predictions
from tests import tiny
from tests.bench import Bench
from tests.command import Cli


@pytest.fixture
def photos(images: Path) -> list[Path]:
    """The test images, in the order of the test split: by class, then by name."""
    return sorted((images / "test").rglob("*.png"))


@pytest.mark.usefixtures("swept")
def test_the_champion_gives_the_probabilities_that_were_stored(
    cli: Cli, bench: Bench, data: Dataset, photos: list[Path]
) -> None:
    shown = cli("predict", "tiny", *photos, "--format", "csv", "--top", 1)
    assert shown.code == 0, shown.err
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    [sweep] = bench.records("sweep")
    stored = read_predictions(bench.client, sweep.tags["champion"])
    assert [row["image"] for row in rows] == [str(photo) for photo in photos]
    # The data set has the images in another order.
    expected = sorted(zip(stored.predicted.tolist(), stored.confidence.tolist(), strict=True))
    found = sorted((data.classes.index(row["class"]), float(row["probability"])) for row in rows)
    assert [label for label, _ in found] == [label for label, _ in expected]
    np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], atol=1e-6)


def test_probabilities_are_those_of_the_loss_and_sum_to_one(
    cli: Cli, bench: Bench, images: Path, photos: list[Path]
) -> None:
    """The square loss on raw logits: clipped to 0..1, bounded and normalised."""
    import mlflow

    bench.run(tiny.definition(images, epochs="1", losses='mse = { compare = "logits" }'))
    [confirmation, *_] = bench.records("confirmation")
    shown = cli("predict", "--run", confirmation.run_id, photos[0], "--format", "json")
    [found] = json.loads(shown.out)
    assert found["image"] == str(photos[0])
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    [logits] = model.predict(decoded(str(photos[0]), 8).transpose(2, 0, 1)[None])
    shares = np.clip(logits.astype(float), 0, 1).clip(min=0.01 / 3)
    expected = shares / shares.sum()
    order = np.argsort(-logits)
    assert [each["class"] for each in found["classes"]] == [
        ("blue", "green", "red")[label] for label in order
    ]
    probabilities = [each["probability"] for each in found["classes"]]
    np.testing.assert_allclose(probabilities, expected[order], atol=1e-6)
    assert sum(probabilities) == pytest.approx(1)


@pytest.mark.usefixtures("swept")
def test_a_photo_of_any_size_is_read_as_in_training(cli: Cli, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    Image.fromarray(decoded(str(tmp_path / "photo.png"), 8)).save(tmp_path / "small.png")
    shown = cli("predict", "tiny", tmp_path / "photo.png", tmp_path / "small.png")
    rows = [line.split() for line in shown.out.splitlines() if ".png" in line]
    assert len(rows) == 6
    assert [row[1:] for row in rows[:3]] == [row[1:] for row in rows[3:]]


def test_a_grey_image_stays_as_it_is(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    assert (decoded(str(tmp_path / "grey.png"), 8, grey=True)[..., 0] == pixels).all()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    assert (decoded(str(tmp_path / "red.png"), 8, grey=True) == 76).all()  # 0.299 x 255


def test_each_problem_is_one_sentence(
    cli: Cli, bench: Bench, images: Path, photos: list[Path], tmp_path: Path
) -> None:
    bench.run(tiny.definition(images, epochs="1", losses="mse = {}"))
    [sweep], [photo, *_] = bench.records("sweep"), photos
    (tmp_path / "text.jpg").write_text("no image")
    problems: list[tuple[list[object], int, str]] = [
        (["tiny"], 2, "there is no image: give NAME IMAGE..."),
        (["tiny", images], 2, f"{images} is a folder: name its images, such as {images}/*.jpg"),
        (["tiny", tmp_path / "none.jpg"], 2, f"there is no image {tmp_path / 'none.jpg'}"),
        (["other", photo], 2, "has no champion of experiment 'other': `cifar-exp run` registers"),
        (["--run", sweep.run_id, photo], 2, f"run {sweep.run_id} has no stored model"),
        (["--run", "none", photo], 2, "has no run 'none'"),
        (["tiny", tmp_path / "text.jpg"], 3, f"Cannot read the image {tmp_path / 'text.jpg'}"),
    ]
    for words, code, sentence in problems:
        shown = cli("predict", *words)
        assert (shown.code, shown.out) == (code, "")
        assert sentence in shown.last
    shutil.rmtree(tmp_path / "mlruns")
    shown = cli("predict", "tiny", photo)
    assert shown.code == 3
    assert shown.last.startswith("the champion of tiny cannot be read: ")
