"""Data sets from outside that are damaged: counted faults, or a `ValueError` that names the file."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_fuzz import FILES, mutated
from test_fuzz_reader import RECORD, ROW

from faceshield_hf.data.build.config import read_config
from faceshield_hf.data.build.inputs import Inputs
from faceshield_hf.data.validate import validate_dataset


def check(folder, name, content, images=False):
    """Check a data set of one file; gives the counts, or `None` after an error that names the file."""
    (folder / name).write_bytes(content)
    try:
        return validate_dataset(folder, skip_bad=True, images=images)
    except ValueError as error:
        assert name in str(error)
        return None


@pytest.mark.parametrize(
    ("content", "images", "field"),
    [
        (b"[" * 100_000, False, "-"),
        (json.dumps(RECORD | {"image": {"bytes": "no bytes"}}).encode(), True, "image"),
        (json.dumps(RECORD | {"id": "\ud800"}).encode(), False, None),
    ],
)
def test_what_once_ended_the_check_is_counted(tmp_path, content, images, field):
    report = check(tmp_path, "train.jsonl", content, images)
    assert list(report.bad) == ([] if field is None else [field])


def test_damaged_json_lines_are_counted(tmp_path):
    rng = np.random.default_rng(0)
    original = json.dumps(RECORD).encode()
    for _ in range(FILES // 40):
        lines = b"\n".join(mutated(original, rng) for _ in range(10))
        assert check(tmp_path, "train.jsonl", lines) is not None


def test_damaged_parquet_files_are_named(tmp_path):
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([RECORD | {"id": f"r{k}"} for k in range(50)]), buffer, compression="zstd")
    reports = [check(tmp_path, "train.parquet", mutated(buffer.getvalue(), rng)) for _ in range(FILES // 4)]
    assert None in reports


def test_a_build_lists_damaged_rows_and_goes_on(tmp_path):
    bad = [b"[" * 100_000, json.dumps(ROW | {"file_name": "\ud800"}).encode(), b'{"subject_id": "\\ud800"}']
    (tmp_path / "metadata.jsonl").write_bytes(b"\n".join(bad))
    config = read_config({"out": str(tmp_path / "out"), "inputs": [str(tmp_path)], "tasks": {"coarse": 1}})
    assert len(list(Inputs(config).read(0, 3))) == 3
