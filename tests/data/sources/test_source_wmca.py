"""WMCA's HDF5 files through h5py, its lists, and what is refused."""

import numpy as np
import pytest
from source_trees import write_wmca

from faceshield_hf.data.samples import Sample
from faceshield_hf.data.sources.common import Skipped, Splits
from faceshield_hf.data.sources.read import read


LIVE, PRINT, WIG = "12.02.18/005_01_000_0_00", "12.02.18/005_02_015_3_01", "13.02.18/100_03_015_1_08"


def test_frames_come_with_label_subject_and_split(tmp_path):
    items = list(read("wmca", write_wmca(tmp_path, [LIVE, PRINT]), frames=2))
    assert [item.attack_type.value for item in items] == ["Bonafide", "Bonafide", "Print", "Print"]
    assert [item.native_label for item in items] == ["0_00", "0_00", "3_01", "3_01"]
    assert {item.subject_id for item in items} == {"wmca/005"}
    assert len({item.split for item in items}) == 1  # one subject, one split
    assert items[2].attributes["presenter"] == "015"
    assert [item.attributes["frame"] for item in items[:2]] == [0, 2]


def test_pixels_are_the_files_own(tmp_path):
    write_wmca(tmp_path, [LIVE], frames=1)
    (sample,) = read("wmca", tmp_path)
    expected = np.random.default_rng([0, 0]).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(sample.open()), expected.transpose(1, 2, 0))


def test_frames_are_ordered_by_number_not_by_name(tmp_path):
    items = list(read("wmca", write_wmca(tmp_path, [LIVE], frames=12), frames=12))
    expected = np.random.default_rng([0, 10]).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(items[10].open()), expected.transpose(1, 2, 0))


def test_what_gives_nothing_is_listed_with_its_reason(tmp_path):
    write_wmca(tmp_path, [LIVE, WIG, "13.02.18/notes"])
    write_wmca(tmp_path, ["14.02.18/007_01_000_0_00"], shape=(4, 16, 16))
    write_wmca(tmp_path, ["14.02.18/008_01_000_0_00"], frames=0)
    (tmp_path / "14.02.18/009_01_000_0_00.hdf5").write_bytes(b"")
    whole = (tmp_path / f"{LIVE}.hdf5").read_bytes()
    (tmp_path / "14.02.18/010_01_000_0_00.hdf5").write_bytes(whole[: len(whole) // 3])
    items = list(read("wmca", tmp_path, frames=1))
    assert sum(isinstance(item, Sample) for item in items) == 1
    reasons = {item.item.rpartition("/")[2]: item.reason for item in items if isinstance(item, Skipped)}
    assert "none of the twelve types" in reasons["100_03_015_1_08.hdf5"]
    assert "the name is not" in reasons["notes.hdf5"]
    assert "use the preprocessed RGB files" in reasons["007_01_000_0_00.hdf5"]
    assert "has no group Frame_<i>" in reasons["008_01_000_0_00.hdf5"]
    assert "can't be read as HDF5" in reasons["009_01_000_0_00.hdf5"]
    assert "can't be read as HDF5" in reasons["010_01_000_0_00.hdf5"]


def test_official_lists_decide_the_split_and_leave_out_what_they_do_not_name(tmp_path):
    root, lists = write_wmca(tmp_path / "data", [LIVE, PRINT, "13.02.18/100_03_015_3_02"]), tmp_path / "grandtest"
    for group, line in (("train", f"{LIVE} 005"), ("eval", f"face-station/{PRINT} 005 attack")):
        (lists / group).mkdir(parents=True)
        (lists / group / "for_real.lst").write_text(line + "\n")
    items = list(read("wmca", root, Splits(lists=lists), frames=1))
    assert [item.split for item in items[:2]] == ["train", "test"]
    assert isinstance(items[2], Skipped)
    assert "in none of the lists" in items[2].reason


def test_a_recording_in_two_lists_is_an_error(tmp_path):
    root, lists = write_wmca(tmp_path / "data", [LIVE]), tmp_path / "lists"
    lists.mkdir()
    for group in ("train", "dev"):
        (lists / f"{group}.csv").write_text(f"filename,client_id\n{LIVE},5\n")
    with pytest.raises(ValueError, match=r"train\.csv, row 2: .* is train here, but validation before"):
        list(read("wmca", root, Splits(lists=lists)))
