"""Records: ids that hold still, faults named by field, and whole data sets checked row by row."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.build_parts import turned
from PIL import Image
from typer.testing import CliRunner

from faceshield_hf.data.schema import features, record_faults, record_id, validate_record
from faceshield_hf.data.validate import main, validate_dataset


RECORD = {
    "id": "r1",
    "image": "a.png",
    "width": 8,
    "height": 6,
    "source": "simulated",
    "subject_id": "s1",
    "split": "train",
    "label": "spoof",
    "attack_type": "Print",
    "native_label": "Print",
    "boxes": [{"x1": 0.1, "y1": 0.2, "x2": 0.5, "y2": 1.0, "region": "photo"}],
    "task": "coarse",
    "question": "Is it real?",
    "answer": "No.",
    "provenance": {},
}


def test_an_id_is_a_hash_of_source_image_task_and_number():
    # sha256 of '["wmca", "a/b.png", "coarse", 0]'
    assert record_id("wmca", "a/b.png", "coarse") == "2c2ae67c4dde9647924708fffeda370e"
    others = {
        record_id("wmca", "a/b.png", "coarse", 1),
        record_id("wmca", "a/b.png", "fine"),
        record_id("wmca", "a/c.png", "coarse"),
        record_id("padisi", "a/b.png", "coarse"),
    }
    assert len(others | {record_id("wmca", "a/b.png", "coarse")}) == 5


def test_a_good_record_has_no_fault():
    assert list(record_faults(RECORD)) == []
    assert set(RECORD) == set(features())
    validate_record({k: v for k, v in RECORD.items() if k not in ("id", "width", "height", "provenance")}, "x")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"split": "dev"}, ["split"]),
        ({"attack_type": "Hologram"}, ["attack_type"]),
        ({"attack_type": None, "label": None}, ["label", "attack_type"]),
        ({"label": "real"}, ["label"]),
        ({"attack_type": "Bonafide", "label": "real"}, ["boxes"]),  # a live face has no attacked region
        ({"task": "guess"}, ["task"]),
        ({"answer": ""}, ["answer"]),
        ({"question": None}, ["question"]),
        ({"subject_id": 7}, ["subject_id"]),
        ({"id": " "}, ["id"]),
        ({"width": 0, "height": -1}, ["width", "height"]),
        ({"boxes": [{"x1": 0.1, "y1": 0.2, "x2": 1.01, "y2": 1.0}]}, ["boxes"]),
        ({"boxes": [{"x1": 0.1, "y1": 0.2, "x2": 0.1, "y2": 1.0}]}, ["boxes"]),
        ({"boxes": [{"x1": float("nan"), "y1": 0.2, "x2": 0.5, "y2": 1.0}]}, ["boxes"]),
        ({"boxes": [{"x1": 0.1, "y1": 0.2, "x2": 0.5}]}, ["boxes"]),
        ({"boxes": [[0.1, 0.2, 0.5, 1.0]]}, ["boxes"]),
        ({"boxes": "0.1 0.2 0.5 1.0"}, ["boxes"]),
    ],
)
def test_every_fault_of_a_record_is_named(change, fields):
    assert [field for field, _ in record_faults(RECORD | change)] == fields
    with pytest.raises(ValueError, match=f"train.jsonl, row 3, field {fields[0]}: got"):
        validate_record(RECORD | change, "train.jsonl, row 3")


def write_jsonl(folder, *rows, name="train.jsonl"):
    Image.new("RGB", (8, 6)).save(folder / "a.png")
    (folder / name).write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return folder


def write_parquet(folder, *rows, name="train-00000-of-00001.parquet"):
    from datasets import Dataset

    Image.new("RGB", (8, 6)).save(folder / "a.png")
    rows = [row | {"image": str(folder / row["image"])} for row in rows]
    Dataset.from_list(rows, features=features()).to_parquet(folder / name)
    return folder


BAD_ROWS = (
    RECORD,
    RECORD | {"id": "r2", "answer": ""},
    RECORD | {"id": "r3", "boxes": [{"x1": 0.1, "y1": 0.2, "x2": 1.5, "y2": 1.0, "region": None}]},
    RECORD | {"id": "r4", "attack_type": "Hologram"},
    RECORD,
    RECORD | {"id": "r6", "split": "test"},
    RECORD | {"id": "r7", "task": "fine"},
)


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_bad_rows_of_a_data_set_are_counted_and_listed(tmp_path, write):
    (tmp_path / "data").mkdir()
    folder = write(tmp_path / "data", *BAD_ROWS)
    report = validate_dataset(folder, skip_bad=True, listing=tmp_path / "bad.jsonl")
    assert (report.records, report.bad_records) == (7, 5)
    assert report.bad == {"answer": 1, "boxes": 1, "attack_type": 1, "id": 1, "split": 1}
    rows = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(row["row"], row["field"]) for row in rows] == [
        (2, "answer"),
        (3, "boxes"),
        (4, "attack_type"),
        (5, "id"),
        (6, "split"),
    ]
    assert "row 1 has too" in rows[3]["reason"]
    assert "subject 's1' is in 'train' before" in rows[4]["reason"]
    with pytest.raises(ValueError, match=r"train.*, row 2, field answer: got ''"):
        validate_dataset(folder)


def test_records_without_ids_are_told_apart_by_what_an_id_is_made_of(tmp_path):
    old = {key: value for key, value in RECORD.items() if key != "id"}
    write_jsonl(tmp_path, old, old | {"question": "Really?"}, old)
    assert validate_dataset(tmp_path, skip_bad=True).bad == {"id": 1}


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("ids", ["no column", "empty"])
@pytest.mark.parametrize("embedded", [False, True])
def test_parquet_without_ids_is_told_apart_by_its_images(tmp_path, images, ids, embedded):
    """Embedded images have a name for a path, which several may share; others have paths alone."""
    rows = []
    for name in ("a", "b", "a"):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), "red" if name == "a" else "blue").save(tmp_path / name / "1.png")
        content = (tmp_path / name / "1.png").read_bytes()
        image = {"bytes": content, "path": "1.png"} if embedded else {"bytes": None, "path": f"{name}/1.png"}
        rows.append(RECORD | {"id": None, "image": image})
    rows[2] |= {"question": "Really?"}
    columns = features()
    if ids == "no column":
        rows = [{key: value for key, value in row.items() if key != "id"} for row in rows]
        del columns["id"]

    def write(rows):
        table = pa.Table.from_pylist(rows, schema=columns.arrow_schema)
        pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")

    write(rows)
    assert validate_dataset(tmp_path, skip_bad=True, images=images).bad == {}
    write([*rows, rows[1]])
    assert validate_dataset(tmp_path, skip_bad=True, images=images).bad == {"id": 1}


def test_images_called_alike_in_two_folders_are_two(tmp_path):
    old = {key: value for key, value in RECORD.items() if key != "id"}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_jsonl(tmp_path / name, old)
    assert validate_dataset(tmp_path).records == 2


def test_lines_that_are_no_record_are_faults(tmp_path):
    write_jsonl(tmp_path, RECORD, "{", "[1]", "")
    report = validate_dataset(tmp_path, skip_bad=True)
    assert (report.records, report.bad_records) == (3, 2)
    with pytest.raises(ValueError, match=r"train\.jsonl, row 2, field -: not JSON"):
        validate_dataset(tmp_path)


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_images_are_decoded_when_asked_for(tmp_path, write):
    write(tmp_path, RECORD, RECORD | {"id": "r2", "width": 9})
    assert validate_dataset(tmp_path).records == 2
    report = validate_dataset(tmp_path, skip_bad=True, images=True)
    assert report.bad == {"width": 1}


def test_sizes_are_those_of_the_upright_image(tmp_path):
    write_jsonl(tmp_path, RECORD | {"width": 48, "height": 64})
    (tmp_path / "a.png").write_bytes(turned(64, 48))
    assert validate_dataset(tmp_path, images=True).bad_records == 0


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_damaged_and_missing_images_are_faults(tmp_path, content):
    write_jsonl(tmp_path, RECORD, RECORD | {"id": "r2", "image": "none.png"}, RECORD | {"id": "r3", "image": ""})
    (tmp_path / "a.png").write_bytes(content)
    assert validate_dataset(tmp_path, skip_bad=True, images=True).bad == {"image": 3}


def test_folders_of_work_and_other_tables_are_left_alone(tmp_path):
    write_jsonl(tmp_path, RECORD)
    (tmp_path / "skipped.jsonl").write_text("{}")
    (tmp_path / ".work").mkdir()
    write_jsonl(tmp_path / ".work", "{", name="test.jsonl")
    assert validate_dataset(tmp_path).records == 1


def test_nothing_to_check_and_damaged_parquet_are_errors(tmp_path):
    with pytest.raises(ValueError, match=r"holds neither train\.jsonl"):
        validate_dataset(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="can't be read as parquet"):
        validate_dataset(tmp_path)


def test_the_command_line_counts_and_lists(tmp_path):
    import typer

    app = typer.Typer()
    app.command()(main)
    write_jsonl(tmp_path, *BAD_ROWS)
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert result.exit_code == 1
    assert "row 2, field answer" in result.output
    listing = tmp_path / "bad.jsonl"
    result = CliRunner().invoke(app, [str(tmp_path), "--skip-bad", "--listing", str(listing)])
    assert result.exit_code == 0
    assert "7 records, 5 bad" in result.output
    assert len(listing.read_text().splitlines()) == 5
