"""PADISI's joblib file: only builtins and arrays get in, once; then parquet, tables and folds."""

import io
import os
import pickle
import subprocess

import joblib
import numpy as np
import pytest
from source_trees import PADISI_ROWS, write_padisi_joblib, write_padisi_tables

from faceshield_hf.data.sources.common import Skipped, Splits
from faceshield_hf.data.sources.padisi import convert
from faceshield_hf.data.sources.read import read
from faceshield_hf.data.sources.safe_pickle import load


class Evil:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def root(tmp_path):
    root = write_padisi_tables(tmp_path / "padisi")
    write_padisi_joblib(tmp_path / "padisi_USC_FACE_preprocessed.bz2")
    convert(tmp_path / "padisi_USC_FACE_preprocessed.bz2", root / "color.parquet")
    return root


@pytest.mark.parametrize("compress", [0, ("bz2", 3), ("gzip", 3), ("zlib", 3), ("xz", 3), ("lzma", 3)])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_joblib_writes_is_read_as_joblib_reads_it(tmp_path, compress, protocol):
    data = {
        "data": np.random.default_rng(0).random((3, 2, 4)),
        "fortran": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        "words": np.array(["m00000", "m50602"]),
        "empty": np.zeros((0, 3), np.float32),
        "number": np.float32(0.5),
        "flags": [True, False, None],
        "names": ("a", b"b", {1, 2}, frozenset({3}), 4.5),
    }
    file = tmp_path / "a.joblib"
    joblib.dump(data, file, compress=compress, protocol=protocol)
    got, expected = load(file), joblib.load(file)
    for key in ("data", "fortran", "words", "empty"):
        np.testing.assert_array_equal(got[key], expected[key])
        assert got[key].dtype.newbyteorder("=") == expected[key].dtype  # joblib swaps foreign bytes on loading
    assert {key: got[key] for key in ("number", "flags", "names")} == {
        key: expected[key] for key in ("number", "flags", "names")
    }


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_arrays_pickled_by_numpy_itself_are_read(tmp_path, protocol):
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([array, array], protocol))
    first, second = load(tmp_path / "a.pkl")
    np.testing.assert_array_equal(first, array)
    assert first is second


@pytest.mark.parametrize(
    "function", [os.system, subprocess.check_output, eval, exec, getattr, __import__, io.open, np.load, np.ndarray]
)
@pytest.mark.parametrize("compress", [0, ("bz2", 3)])
def test_a_file_that_runs_something_is_refused_before_it_runs(tmp_path, function, compress):
    trace, file = tmp_path / "ran", tmp_path / "evil.bz2"
    joblib.dump({"data": [Evil(function, f"touch {trace}")]}, file, compress=compress)
    with pytest.raises(ValueError, match=r"only builtins and numpy arrays are admitted|no joblib file, or damaged"):
        load(file)
    assert not trace.exists()


def test_a_command_hidden_in_an_array_of_objects_is_refused(tmp_path):
    trace, file = tmp_path / "ran", tmp_path / "evil.joblib"
    joblib.dump(np.array([Evil(os.system, f"touch {trace}")], dtype=object), file)
    with pytest.raises(ValueError, match="an array of O8, which may hold anything"):
        load(file)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(np.array([Evil(os.system, f"touch {trace}")], dtype=object)))
    with pytest.raises(ValueError, match=r"asks for (posix|nt)\.system"):
        load(tmp_path / "evil.pkl")
    assert not trace.exists()


def test_a_type_with_pointers_inside_is_refused(tmp_path):
    joblib.dump(np.zeros(2, np.dtype([("a", "f4"), ("b", "i4")])), tmp_path / "a.joblib")
    with pytest.raises(ValueError, match="which may hold anything"):
        load(tmp_path / "a.joblib")


def test_a_description_longer_than_the_file_is_refused(tmp_path):
    file = tmp_path / "a.joblib"
    joblib.dump(np.zeros(1000), file)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ValueError, match="the file ends inside an array"):
        load(file)


@pytest.mark.parametrize("content", [b"", b"\x80", b"nonsense", b"BZh91AY&SY nonsense", pickle.dumps([1])[:-1]])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "a.bz2").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path / "a.bz2")


def test_arrays_stay_on_disk(tmp_path):
    write_padisi_joblib(tmp_path / "a.bz2")
    assert isinstance(load(tmp_path / "a.bz2")["data"], np.memmap)


def test_samples_come_with_code_participant_and_right_colours(root, tmp_path):
    data = write_padisi_joblib(tmp_path / "again.bz2")
    items = list(read("padisi", root))
    samples = [item for item in items if not isinstance(item, Skipped)]
    assert [s.native_label for s in samples] == ["m00000", "m00000", "m50602", "m50901"]
    assert [s.attack_type.value for s in samples] == ["Bonafide", "Bonafide", "Makeup", "Tattoo"]
    assert [s.subject_id for s in samples] == [f"padisi/person{n}" for n in (1, 1, 2, 3)]
    rgb = np.rint(data["data"][2][::-1].transpose(1, 2, 0) * 255).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(samples[2].open()), rgb)
    (fabric,) = (item for item in items if isinstance(item, Skipped))
    assert fabric.item == "ID_84ea_6bbb_FACE_NEUTRAL_WITHOUT_GLASS"
    assert "'m50507' belongs to none" in fabric.reason


def test_folds_are_the_authors(root):
    splits = Splits(lists=root / "partition_3folds_part0.csv")
    samples = [item for item in read("padisi", root, splits) if not isinstance(item, Skipped)]
    assert [s.split for s in samples] == ["train", "train", "validation", "test"]


def test_rows_that_contradict_the_tables_are_listed(tmp_path):
    rows = [("t", "1", "N", "m00000", "p1"), ("t", "2", "N", "m50602", "p1"), ("t", "3", "N", "m00000", "p2")]
    root = write_padisi_tables(tmp_path / "padisi", [rows[0], (*rows[1][:3], "m50101", "p1")])
    write_padisi_joblib(tmp_path / "a.bz2", rows)
    convert(tmp_path / "a.bz2", root / "color.parquet")
    items = list(read("padisi", root))
    assert items[1].reason == "the data say m50602, the ground truth table m50101"
    assert "does not name it" in items[2].reason


def test_conversion_leaves_one_file_and_can_be_repeated(tmp_path):
    write_padisi_joblib(tmp_path / "a.bz2")
    out = convert(tmp_path / "a.bz2", tmp_path / "out" / "color.parquet")
    first = out.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["color.parquet"]
    assert convert(tmp_path / "a.bz2", out).read_bytes() == first


def test_other_contents_are_named(tmp_path):
    joblib.dump({"data": np.zeros((2, 22, 4, 4)), "identifiers": []}, tmp_path / "a.joblib")
    with pytest.raises(ValueError, match="is it the COLOR version"):
        convert(tmp_path / "a.joblib", tmp_path / "a.parquet")
    joblib.dump({"data": np.zeros((1, 3, 4, 4)), "identifiers": ["a"], "labels": [], "pai_codes": ["m00000"]},
                tmp_path / "a.joblib")  # fmt: skip
    with pytest.raises(ValueError, match="the parts differ in length"):
        convert(tmp_path / "a.joblib", tmp_path / "a.parquet")


def test_a_folder_without_the_ground_truth_says_what_is_missing(root):
    (root / "padisi_USC_FACE_ground_truth.csv").unlink()
    with pytest.raises(ValueError, match=r"holds 0 files \*ground_truth\.csv, expected one"):
        list(read("padisi", root))


def test_the_datasets_library_reads_the_parquet_file_too(root):
    from datasets import Image, load_dataset

    rows = load_dataset("parquet", data_files=str(root / "color.parquet"), split="train").cast_column("image", Image())
    assert len(rows) == len(PADISI_ROWS)
    assert rows[0]["image"].size == (16, 20)
