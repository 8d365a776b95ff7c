"""Extraction: one folder that all else reads; the same bytes however often it was stopped, by however many workers."""

import json
import multiprocessing
import time

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from source_trees import picture, write_celeba, write_video, write_wmca
from typer.testing import CliRunner

from faceshield_hf.data.samples import read_samples
from faceshield_hf.data.sources import __main__ as command_line
from faceshield_hf.data.sources import extract as extraction
from faceshield_hf.data.sources.__main__ import app
from faceshield_hf.data.sources.crop import Crop, crop_face, square_around
from faceshield_hf.data.sources.extract import extract
from faceshield_hf.data.sources.read import read


NAMES = [f"12.02.18/{client:03d}_01_000_{label}" for client, label in enumerate(["0_00", "3_01", "2_08", "1_08"], 1)]


def contents(folder):
    """Every visible file and its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".extract" not in path.parts
    }


@pytest.fixture
def wmca(tmp_path):
    return write_wmca(tmp_path / "wmca", NAMES)


def test_the_folder_holds_what_the_stream_gives(wmca, tmp_path):
    result = extract("wmca", wmca, tmp_path / "out", frames=2, workers=1)
    samples, streamed = read_samples(tmp_path / "out"), [s for s in read("wmca", wmca, frames=2) if hasattr(s, "path")]
    assert [(s.attack_type, s.subject_id, s.native_label, s.split, s.source) for s in samples] == [
        (s.attack_type, s.subject_id, s.native_label, s.split, s.source) for s in streamed
    ]
    assert all(s.read() == t.read() for s, t in zip(samples, streamed, strict=True))
    assert {s.is_simulated for s in [*samples, *streamed]} == {False}
    assert sum(result.images.values()) == 6
    (skipped,) = map(json.loads, (tmp_path / "out" / "skipped.jsonl").read_text().splitlines())
    assert skipped["item"] == f"{NAMES[3]}.hdf5"
    assert "none of the twelve types" in skipped["reason"]


def test_the_datasets_library_reads_the_folder(wmca, tmp_path):
    from datasets import load_dataset

    extract("wmca", wmca, tmp_path / "out", frames=1, workers=1)
    rows = load_dataset("imagefolder", data_dir=str(tmp_path / "out"), split="train")
    assert rows[0]["native_label"] == "0_00"
    assert rows[0]["image"].size == (16, 16)


def test_a_stopped_run_goes_on_and_ends_the_same(wmca, tmp_path, monkeypatch):
    extract("wmca", wmca, tmp_path / "whole", workers=1)
    real, calls = extraction._extract_one, []

    def failing(job):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(extraction, "_extract_one", failing)
    with pytest.raises(KeyboardInterrupt):
        extract("wmca", wmca, tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "metadata.jsonl").exists()
    with (tmp_path / "out" / ".extract" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"name": "cut o')  # as if the power had failed in the middle of a line
    monkeypatch.setattr(extraction, "_extract_one", real)
    extract("wmca", wmca, tmp_path / "out", workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_finished_run_does_nothing_more(wmca, tmp_path, monkeypatch):
    extract("wmca", wmca, tmp_path / "out", workers=1)
    before = contents(tmp_path / "out")
    monkeypatch.setattr(extraction, "_extract_one", lambda job: pytest.fail("done already"))
    extract("wmca", wmca, tmp_path / "out", workers=1)
    assert contents(tmp_path / "out") == before


def test_a_killed_run_loses_nothing(tmp_path, monkeypatch):
    root, out = write_wmca(tmp_path / "wmca", [f"12.02.18/{n:03d}_01_000_0_00" for n in range(20)]), tmp_path / "out"
    real = extraction._extract_one
    monkeypatch.setattr(extraction, "_extract_one", lambda job: (time.sleep(0.05), real(job))[1])
    fork = multiprocessing.get_context("fork")  # a new interpreter would spend its time on imports
    process = fork.Process(target=extract, args=("wmca", root, out), kwargs={"workers": 1})
    process.start()
    monkeypatch.setattr(extraction, "_extract_one", real)
    journal, deadline = out / ".extract" / "journal.jsonl", time.monotonic() + 30
    while not (journal.exists() and journal.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.join()
    assert not (out / "metadata.jsonl").exists()
    extract("wmca", root, out, workers=1)
    extract("wmca", root, tmp_path / "whole", workers=1)
    assert len(read_samples(out)) == 80
    assert contents(out) == contents(tmp_path / "whole")


def test_two_processes_write_the_same_bytes_as_one(wmca, tmp_path):
    extract("wmca", wmca, tmp_path / "one", workers=1)
    extract("wmca", wmca, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_full_disk_is_an_error_not_a_skipped_image(wmca, tmp_path, monkeypatch):
    extract("wmca", wmca, tmp_path / "whole", workers=1)
    (tmp_path / "out").mkdir()
    real = extraction.write_whole

    def full(path, content):
        if path.suffix == ".png":
            raise OSError(28, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(extraction, "write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        extract("wmca", wmca, tmp_path / "out", workers=1)
    monkeypatch.setattr(extraction, "write_whole", real)
    extract("wmca", wmca, tmp_path / "out", workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_other_settings_two_runs_and_foreign_folders_are_refused(wmca, tmp_path):
    extract("wmca", wmca, tmp_path / "out", frames=1, workers=1)
    with pytest.raises(ValueError, match="holds a run with another frames"):
        extract("wmca", wmca, tmp_path / "out", frames=2, workers=1)
    with (
        FileLock(tmp_path / "out" / ".extract" / "lock"),
        pytest.raises(ValueError, match="another process is extracting"),
    ):
        extract("wmca", wmca, tmp_path / "out", frames=1, workers=1)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "metadata.jsonl").write_text("{}")
    with pytest.raises(ValueError, match="was not extracted"):
        extract("wmca", wmca, tmp_path / "own", workers=1)
    assert (tmp_path / "own" / "metadata.jsonl").read_text() == "{}"


@pytest.mark.parametrize(("option", "value"), [("frames", 0), ("workers", 0), ("encoding", "gif")])
def test_options_out_of_range_are_refused(wmca, tmp_path, option, value):
    with pytest.raises(ValueError, match=f"got {option}"):
        extract("wmca", wmca, tmp_path / "out", **{option: value})


def test_subjects_that_official_lists_part_are_reported(tmp_path):
    root, lists = write_wmca(tmp_path / "wmca", ["1/005_01_000_0_00", "1/005_02_000_0_00"]), tmp_path / "lists"
    lists.mkdir()
    (lists / "train.lst").write_text("1/005_01_000_0_00\n")
    (lists / "eval.lst").write_text("1/005_02_000_0_00\n")
    result = extract("wmca", root, tmp_path / "out", extraction.Splits(lists=lists), workers=1)
    assert result.shared == ["wmca/005"]


def test_a_square_crop_lies_inside_the_image():
    assert square_around((40, 40, 60, 50), 100, 80, 2.0) == (30, 25, 70, 65)
    assert square_around((-5, 60, 15, 80), 100, 80, 1.5) == (0, 50, 30, 80)
    assert square_around((0, 0, 100, 80), 100, 80, 3.0) == (10, 0, 90, 80)


def test_a_found_face_is_cropped_and_a_missing_one_named():
    from skimage.data import astronaut

    photo = Image.fromarray(astronaut())
    face = crop_face(photo, Crop())
    assert face.size == (224, 224)
    # The astronaut's face fills the middle of the crop: it matches her photo there, not its corner.
    left, top = (int(v) for v in (150, 30))
    assert np.asarray(face).mean() == pytest.approx(
        np.asarray(photo)[top : top + 200, left : left + 160].mean(), rel=0.3
    )
    blank = Image.fromarray(picture(width=100, height=100))
    with pytest.raises(ValueError, match="no face found"):
        crop_face(blank, Crop())
    assert crop_face(blank, Crop(keep_faceless=True)) is blank


def test_frames_without_a_face_are_skipped_one_by_one(tmp_path):
    write_video(tmp_path / "siw" / "Live" / "Live_1.mp4")
    extract("siw-mv2", tmp_path / "siw", tmp_path / "out", frames=2, crop=Crop(), workers=1)
    rows = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    assert [(row["item"], row["reason"]) for row in rows] == [
        ("Live/Live_1.mp4, frame 0", "no face found"),
        ("Live/Live_1.mp4, frame 6", "no face found"),
    ]


def test_the_command_line_extracts_and_reports(tmp_path):
    write_celeba(tmp_path / "celeba", [("101", "live", "1", 0), ("101", "spoof", "2", 3)])
    (tmp_path / "celeba/Data/train/101/live/1.png").write_bytes(b"damaged")
    arguments = ["extract", "celeba-spoof", "--root", str(tmp_path / "celeba"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--crop", "--size", "32", "--validation", "0", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "1 images in" in result.output
    assert "skipped 1 in all" in result.output
    (sample,) = read_samples(tmp_path / "out")
    assert sample.open().size == (32, 32)
    assert (sample.attack_type.value, sample.split) == ("Print", "train")


@pytest.mark.parametrize("option", [["--margin", "1.3"], ["--size", "224"], ["--keep-faceless"]])
def test_options_of_the_crop_are_refused_without_it(tmp_path, option):
    arguments = ["extract", "wmca", "--root", str(tmp_path), "--out", str(tmp_path / "out"), *option]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert f"got {option[0]} without --crop" in result.output


def test_what_the_options_of_the_crop_are_by_default(monkeypatch):
    seen = []
    monkeypatch.setattr(command_line, "extract_frames", lambda *given: seen.append(given[5]) or 1 / 0)
    for options in (["--crop"], ["--crop", "--margin", "2", "--size", "0", "--keep-faceless"], []):
        CliRunner().invoke(app, ["extract", "wmca", "--root", "r", "--out", "o", *options])
    assert seen == [Crop(), Crop(2.0, 0, True), None]


def test_the_command_line_says_what_is_wrong(tmp_path):
    result = CliRunner().invoke(app, ["extract", "wmca", "--root", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "holds no .hdf5 file" in result.output
    assert CliRunner().invoke(app, ["labels", "wmca"]).output.startswith("| type | native labels |")
    assert "unknown source" in CliRunner().invoke(app, ["labels", "x"]).output
