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
    table, dev = scores(images, tmp_path), write_images(tmp_path / "dev", 8)
    table.write_text(table.read_text() + "".join(f"dev/{i}.png,{not TYPES[i % 4].is_live:d}\n" for i in range(8)))
    words = options("--scorer", "csv", "--model", table, "--data", images, "--dev", dev, "--out", out)
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
    assert report["threshold_from"] == "none: there are no dev images"


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
    assert report["left_out"] == 0
    assert report["fine"]["seen_types"] == ["Bonafide", "Print", "Replay"]
    assert "hter_dev" in report["score"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "nowhere has no metadata.jsonl"),
        (["--scorer", "csv", "--data", "IMAGES"], "--scorer csv needs --model"),
        (["--scorer", "csv", "--token-budget", "5", "--data", "IMAGES"], "--token-budget is for --scorer faceshield"),
        (["--scorer", "csv", "--token-budget", "0", "--data", "IMAGES"], "--token-budget is for --scorer faceshield"),
        (["--token-budget", "999", "--data", "IMAGES"], "an image has only 128 tokens"),
        (["--scorer", "resnet", "--model", "tiny", "--data", "IMAGES"], "needs training images"),
        (["--data", "IMAGES", "--protocol", "no.yaml"], "there is no protocol file no.yaml"),
        (["--data", "IMAGES", "--protocol", "x.yaml", "--dev", "IMAGES"], "leave out --dev"),
        (["--data", "IMAGES", "--beside", "no.json"], "no.json is no report.json"),
        (["--data", "IMAGES", "--limit", "1"], "expected at least 2"),
        (["--data", "IMAGES", "--batch-size", "0"], "got --batch-size 0: expected at least 1"),
        (["--data", "IMAGES", "--dev", "IMAGES"], "subject s0 of test is both in --dev and in --data"),
        (["--data", "IMAGES", "--data", "x=IMAGES"], "8 images are there twice"),
        (["--data", "IMAGES", "--average-over", "video"], "no attribute 'video' to average over; it has none"),
        (["--data", "IMAGES", "--references", "no.jsonl"], "there is no file no.jsonl"),
        (["--data", "IMAGES", "--epochs", "3"], "--epochs is for --scorer resnet, not faceshield: leave it out"),
        (["--data", "IMAGES", "--trust-remote-code"], "--trust-remote-code is for --scorer zero-shot"),
        (["--scorer", "clip", "--tasks", "coarse", "--data", "IMAGES"], "--tasks is for --scorer faceshield or zero-"),
        (["--scorer", "csv", "--revision", "main", "--data", "IMAGES"], "--revision is for --scorer faceshield or "),
        (["--data", "IMAGES", "--model", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(images, tmp_path, capsys, words, message):
    words = [word.replace("IMAGES", str(images)) for word in words]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.splitlines()[-1].startswith("faceshield evaluate: ")  # transformers' progress may stand before it


def test_a_missing_package_is_told_before_anything_is_judged(images, tmp_path, capsys, monkeypatch):
    from faceshield_hf.evaluation import command

    monkeypatch.setattr(command, "_PACKAGES", ("no_such_package",))
    assert main(["--data", str(images), "--out", str(tmp_path / "out")]) == 2
    assert "needs no_such_package: pip install 'faceshield-hf[eval]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_videos_are_averaged_in_the_report_and_broken_frames_are_still_listed(images, tmp_path):
    table = tmp_path / "metadata.jsonl"
    rows = [json.loads(line) for line in (images / table.name).read_text().splitlines()]
    told = [json.dumps(row | {"subject_id": "s", "attributes": {"video": i // 4}}) for i, row in enumerate(rows)]
    (images / table.name).write_text("\n".join(told))
    lacking = scores(images, tmp_path)
    lacking.write_text(lacking.read_text().replace("test/0.png", "elsewhere.png"))
    out = tmp_path / "out"
    words = ["--scorer", "csv", "--model", lacking, "--data", images, "--average-over", "video", "--out", out]
    assert main([*map(str, words), "--bootstrap", "0"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["images"] == 6  # two videos of three types each
    assert report["errors"]["count"] == 1
    assert "has no row" in next(iter(report["errors"]["images"].values()))
    assert "plots/roc.png" in (out / "report.md").read_text()
    assert main(options(*words)) == 0
    assert "plots/roc.png" not in (out / "report.md").read_text()  # the pictures of another run


def test_references_may_be_records_of_the_same_images(images, tmp_path):
    from faceshield_hf.data.instruct.build import build_records, write_records
    from faceshield_hf.data.samples import read_samples
    from faceshield_hf.evaluation.command import read_references
    from faceshield_hf.tasks_faceshield import Task

    samples = read_samples(images)
    file = tmp_path / "records" / "train.jsonl"
    write_records(build_records(samples, {Task.REASONING: 1.0}, seed=0, split="train"), file)
    answers = [json.loads(line)["answer"] for line in file.read_text().splitlines()]
    assert list(read_references(file, samples[2:]).values()) == answers[2:]
    elsewhere = read_samples(write_images(tmp_path / "elsewhere", 2))
    with pytest.raises(ValueError, match="references for 8 images, none of the 2 that are judged"):
        read_references(file, elsewhere)


def test_a_row_that_fits_two_images_is_refused(images, tmp_path, capsys):
    other = write_images(tmp_path / "other", 8, subjects=2)
    table = tmp_path / "scores.csv"
    table.write_text("image,score\n" + "".join(f"{i}.png,0.5\n" for i in range(8)))
    words = ["--scorer", "csv", "--model", table, "--data", images, "--data", other, "--out", tmp_path / "out"]
    assert main(options(*words)) == 2
    assert "the row 0.png fits both" in capsys.readouterr().err


def test_a_class_missing_from_the_test_images_is_told_before_any_model_is_loaded(tmp_path, capsys):
    images = write_images(tmp_path / "live", 1)
    assert main(["--data", str(images), "--out", str(tmp_path / "out"), "--model", "no/such/model"]) == 2
    assert "the test images hold no attacks (1 bona fide, 0 attacks)" in capsys.readouterr().err


def test_the_recipe_is_the_same_command(images, tmp_path):
    command = [sys.executable, str(ROOT / "recipes" / "evaluate.py"), "--data", "nowhere", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nowhere has no metadata.jsonl" in done.stderr
