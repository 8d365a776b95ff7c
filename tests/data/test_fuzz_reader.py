"""Tables and records from outside that are damaged: a sample, or a `ValueError` that names the file and the row.

`FACESHIELD_FUZZ_FILES=20000 pytest tests/test_fuzz.py tests/*/test_fuzz_*.py` is the long form.
"""

import copy
import json

import pytest
import test_samples as samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_fuzz import FILES, mutated

from faceshield_hf.data.samples import Sample, read_row, read_samples
from faceshield_hf.data.schema import record_faults, validate_record


ROW = samples.ROW | {"dataset": "demo", "split": "train"}
RECORD = samples.RECORD | {
    "id": "r1",
    "width": 8,
    "height": 8,
    "boxes": [{"x1": 0.1, "y1": 0.2, "x2": 0.5, "y2": 0.9, "region": None}],
}
# What programs and people write where something else is expected.
ODD = [
    None, True, False, 0, -1, 5, 10**400, 0.5, float("nan"), float("inf"), "", " ", "x", "\x00", "\ud800", "é" * 300,
    "a" * 5000, "../a.png", "/etc/passwd", "a.png/", [], [[]], [None], ["x"], [1, 2, 3, 4], [[0.1, 0.2, 0.5, 10**400]],
    [[0, 0, 1, 1], 7], [["0.1", "0.2", "0.3", "0.4"]], {}, {"x1": 1}, [{}], [{"x1": None}], "[", "[" * 5000, "7",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def read_or_refused(line, folder):
    """Read a row; gives the sample, or `None` after a `ValueError` that says where."""
    try:
        sample = read_row(line, folder, "metadata.jsonl, row 7")
    except ValueError as error:
        assert str(error).startswith("metadata.jsonl, row 7"), error
        return None
    assert isinstance(sample, Sample)
    assert sample.path.resolve().is_relative_to(folder.resolve())
    assert isinstance(sample.attributes, dict)
    assert all(isinstance(cue, str) for cue in sample.cues)
    assert all(0 <= box.x1 < box.x2 <= 1 and 0 <= box.y1 < box.y2 <= 1 for box in sample.boxes)
    return sample


@pytest.mark.parametrize("field", ROW)
def test_any_value_in_any_field_is_read_or_refused_by_row(folder, field):
    for value in ODD:
        read_or_refused(json.dumps(ROW | {field: value}), folder)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"boxes": 5}, "boxes"),
        ({"boxes": [[0.1, 0.2, 0.5, 10**400]]}, "boxes"),
        ({"boxes": True}, "boxes"),
        ({"box_labels": 5}, "box_labels"),
        ({"box_labels": [7]}, "box_labels"),
        ({"cues": 5}, "cues"),
        ({"cues": "a white border"}, "cues"),
        ({"attributes": "[" * 100_000}, "attributes"),
        ({"attributes": "{"}, "attributes"),
        ({"attributes": [1]}, "attributes"),
        ({"file_name": "a" * 5000}, "file_name"),
        ({"file_name": "../samples/a.png"}, "file_name"),
        ({"file_name": "/etc/hostname"}, "file_name"),
    ],
)
def test_what_was_once_an_error_of_another_kind_or_taken_is_refused_by_field(folder, change, field):
    with pytest.raises(ValueError, match=f"row 3, field {field}: "):
        read_row(json.dumps(ROW | change), folder, "metadata.jsonl, row 3")


@pytest.mark.parametrize("line", ["[" * 100_000, b"\xff\xfe{", b"{\x00}", '{"file_name": 1e999', b"\xef\xbb\xbf"])
def test_what_is_no_row_is_refused_by_row(folder, line):
    assert read_or_refused(line, folder) is None


def test_a_table_in_another_encoding_is_refused_by_row(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    good = json.dumps(ROW).encode()
    (tmp_path / "metadata.jsonl").write_bytes(good + b"\n" + good.replace(b"white", b"gr\xfcn") + b"\n")
    with pytest.raises(ValueError, match=r"metadata\.jsonl, row 2: not JSON"):
        read_samples(tmp_path)


def test_a_table_with_a_byte_order_mark_is_read(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n")
    assert len(read_samples(tmp_path)) == 1


def test_damaged_rows_are_read_or_refused_by_row(folder):
    import numpy as np

    rng = np.random.default_rng(0)
    original = json.dumps(ROW).encode()
    read = sum(read_or_refused(mutated(original, rng), folder) is not None for _ in range(FILES))
    assert FILES // 50 < read < FILES  # both sides were seen


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(sorted(ROW)), JSON, min_size=1, max_size=3))
def test_any_json_in_a_row_is_read_or_refused(folder, changes):
    read_or_refused(json.dumps(ROW | changes), folder)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(RECORD)), JSON, min_size=1, max_size=3))
def test_any_json_in_a_record_has_faults_or_none_but_no_error(changes):
    record = copy.deepcopy(RECORD) | changes
    found = list(record_faults(record))
    assert all(isinstance(field, str) and isinstance(fault, str) for field, fault in found)
    if found:
        with pytest.raises(ValueError, match="train, row 1, field "):
            validate_record(record, "train, row 1")


@pytest.mark.parametrize("field", RECORD)
def test_any_odd_value_in_a_record_has_faults_or_none_but_no_error(field):
    for value in ODD:
        list(record_faults(RECORD | {field: value}))
