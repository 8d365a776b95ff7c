"""`faceshield evaluate` from its options to its files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_helpers import TYPES, write_images
from tiny_checkpoint import tiny_folder  # noqa: F401

from faceshield_hf.evaluation import main


ROOT = Path(__file__).parents[2]


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "test", 8)


def scores(folder, tmp_path, right=True):
    path = tmp_path / "scores.csv"
    rows = [f"{folder.name}/{i}.png,{float((not TYPES[i % 4].is_live) == right)}" for i in range(8)]
    path.write_text("image,score\n" + "\n".join(rows) + "\n")
    return path


def options(*words):
    return [*map(str, words), "--no-plots", "--bootstrap", "20"]


def test_a_table_of_scores_becomes_a_report(images, tmp_path, capsys):
    out = tmp_path / "out"
    words = options(
        "--scorer", "csv", "--model", scores(images, tmp_path), "--data", images, "--dev", images, "--out", out
    )
    assert main(words) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["score"]["auc"] == 1
    assert report["score"]["hter"] == 0
    assert report["threshold_from"] == "EER on the dev images"
    assert report["command"].startswith("faceshield evaluate --scorer csv")
    assert "score auc" in capsys.readouterr().out
    assert main([*words, "--name", "again", "--beside", str(out / "report.json")]) == 0
    assert "| again, score at the threshold 0.5000 |" in (out / "report.md").read_text()


def test_without_dev_images_a_table_of_scores_gets_no_threshold(images, tmp_path):
    words = options(
        "--scorer", "csv", "--model", scores(images, tmp_path), "--data", images, "--out", tmp_path / "out"
    )
    assert main(words) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "threshold" not in report["score"]
    assert report["threshold_from"] == "none: no dev images were given"


def test_a_checkpoint_is_judged_with_everything(images, tmp_path, tiny_folder, capsys):  # noqa: F811
    out = tmp_path / "out"
    (images / "3.png").write_bytes(b"no image")
    words = ["--model", tiny_folder, "--data", f"mine={images}", "--out", out, "--debias", "--limit", "6"]
    words += ["--bootstrap", "20", "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["images"] == 6
    assert {"score", "coarse", "fine", "reasoning", "text", "localization", "agreement", "debias"} <= set(report)
    assert (out / "plots" / "importance.png").is_file()
    assert "## Language prior" in (out / "report.md").read_text()


def test_another_checkpoint_in_the_same_folder_is_refused(images, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--scorer", "csv", "--data", images, "--out", out]
    assert main(options(*words, "--model", scores(images, tmp_path))) == 0
    assert main(options(*words, "--model", scores(images, tmp_path, right=False))) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_a_resnet_is_trained_and_judged_by_one_command_and_a_protocol(tmp_path):
    folders = [
        f"simpad={write_images(tmp_path / split, 8, side=32, split=split, subject_id=split)}"
        for split in ("train", "validation", "test")
    ]
    out = tmp_path / "out"
    protocol = f"{ROOT / 'recipes/sim-benchmark/intra.yaml'}:simpad-intra-all"
    words = ["--scorer", "resnet", "--model", "tiny", "--epochs", "1", "--protocol", protocol, "--out", out]
    assert main(options(*words, *(word for folder in folders for word in ("--data", folder)))) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["protocol"] == "simpad-intra-all"
    assert report["images"] == 8
    assert report["fine"]["seen_types"] == ["Bonafide", "Print", "Replay"]
    assert "hter_dev" in report["score"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "nowhere has no metadata.jsonl"),
        (["--scorer", "csv", "--data", "IMAGES"], "--scorer csv needs --model"),
        (["--scorer", "csv", "--token-budget", "5", "--data", "IMAGES"], "--token-budget is for --scorer faceshield"),
        (["--token-budget", "999", "--data", "IMAGES"], "an image has only 128 tokens"),
        (["--scorer", "resnet", "--model", "tiny", "--data", "IMAGES"], "needs training images"),
        (["--data", "IMAGES", "--protocol", "no.yaml"], "there is no protocol file no.yaml"),
        (["--data", "IMAGES", "--protocol", "x.yaml", "--dev", "IMAGES"], "leave out --dev"),
        (["--data", "IMAGES", "--beside", "no.json"], "no.json is no report.json"),
        (["--data", "IMAGES", "--limit", "1"], "expected at least 2"),
        (["--data", "IMAGES", "--model", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(images, tmp_path, capsys, words, message):
    words = [str(images) if word == "IMAGES" else word for word in words]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.splitlines()[-1].startswith("faceshield evaluate: ")  # transformers' progress may stand before it


def test_a_class_missing_from_the_test_images_is_told_before_any_model_is_loaded(tmp_path, capsys):
    images = write_images(tmp_path / "live", 1)
    assert main(["--data", str(images), "--out", str(tmp_path / "out"), "--model", "no/such/model"]) == 2
    assert "the test images hold no attacks (1 bona fide, 0 attacks)" in capsys.readouterr().err


def test_the_recipe_is_the_same_command(images, tmp_path):
    command = [sys.executable, str(ROOT / "recipes" / "evaluate.py"), "--data", "nowhere", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nowhere has no metadata.jsonl" in done.stderr
