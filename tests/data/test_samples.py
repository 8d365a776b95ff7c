"""Reading a folder of labelled images: right rows come in, wrong ones are named by file, row and field."""

import json

import pytest
from data.build_parts import clear, turned
from PIL import Image

from faceshield_hf.data.samples import Sample, read_samples
from faceshield_hf.data.schema import features, validate_record
from faceshield_hf.tasks_faceshield import AttackType, Box


ROW = {
    "file_name": "a.png",
    "attack_type": "Print",
    "boxes": [[0.1, 0.2, 0.5, 0.9]],
    "box_labels": ["printed photo"],
    "cues": ["a white border"],
    "subject_id": "s1",
    "domain": "B",
    "attributes": '{"face_box": [0, 0, 1, 1]}',
}
RECORD = {
    "image": "a.png",
    "split": "train",
    "label": "spoof",
    "attack_type": "Print",
    "task": "coarse",
    "source": "simulated",
    "subject_id": "s1",
    "question": "Is it real?",
    "answer": "No.",
    "boxes": [],
}


def folder_with(tmp_path, *rows):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


def test_a_row_becomes_a_sample(tmp_path):
    (sample,) = read_samples(folder_with(tmp_path, ROW))
    assert sample.attack_type is AttackType.PRINT
    assert sample.boxes == (Box(0.1, 0.2, 0.5, 0.9, "printed photo"),)
    assert sample.cues == ("a white border",)
    assert sample.domain == "B"
    assert sample.attributes == {"face_box": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack_type": "Hologram"}, "row 2, field attack_type: got 'Hologram'"),
        ({"file_name": "b.png"}, "row 2, field file_name: there is no file"),
        ({"subject_id": ""}, "row 2, field subject_id"),
        ({"boxes": [[0.5, 0.2, 0.1, 0.9]]}, "row 2, field boxes"),
        ({"boxes": [[0.5, 0.2]]}, "row 2, field boxes"),
        ({"box_labels": []}, "row 2, field box_labels: got 0 for 1 boxes"),
    ],
)
def test_a_wrong_row_is_named_by_file_row_and_field(tmp_path, change, message):
    folder = folder_with(tmp_path, ROW, ROW | change)
    with pytest.raises(ValueError, match=message):
        read_samples(folder)


@pytest.mark.parametrize(
    ("attributes", "told"), [({"simulated": True}, True), ('{"simulated": false}', False), ({}, None)]
)
def test_whether_an_image_was_simulated_is_what_its_row_says(tmp_path, attributes, told):
    (sample,) = read_samples(folder_with(tmp_path, ROW | {"attributes": attributes}))
    assert sample.is_simulated is told


def test_a_word_for_whether_an_image_was_simulated_is_refused(tmp_path):
    with pytest.raises(ValueError, match="row 1, field attributes: simulated is 'no', expected true or false"):
        read_samples(folder_with(tmp_path, ROW | {"attributes": {"simulated": "no"}}))


def test_a_sample_opens_upright_and_on_white(tmp_path):
    upright = Sample(tmp_path / "a.jpg", AttackType.PRINT, "s", content=turned()).open()
    assert (upright.size, upright.getpixel((5, 5)), upright.getpixel((43, 5))) == ((48, 64), (255,) * 3, (0,) * 3)
    assert Sample(tmp_path / "a.png", AttackType.PRINT, "s", content=clear()).open().getpixel((0, 0)) == (255,) * 3


def test_a_folder_without_metadata_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="faceshield simulate"):
        read_samples(tmp_path)


def test_an_empty_table_is_refused(tmp_path):
    (tmp_path / "metadata.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        read_samples(tmp_path)


def test_a_line_that_is_not_json_is_named(tmp_path):
    (tmp_path / "metadata.jsonl").write_text("{")
    with pytest.raises(ValueError, match="row 1: not JSON"):
        read_samples(tmp_path)


def test_the_schema_has_a_column_for_all_that_a_record_says():
    assert set(RECORD) <= set(features())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"split": "dev"}, "split"),
        ({"label": "fake"}, "label"),
        ({"label": "real"}, "label"),
        ({"attack_type": "print"}, "attack_type"),
        ({"task": "guess"}, "task"),
        ({"answer": " "}, "answer"),
        ({"boxes": [{"x1": 0.5, "y1": 0, "x2": 0.4, "y2": 1}]}, "boxes"),
    ],
)
def test_a_record_that_breaks_the_schema_is_named(change, field):
    validate_record(RECORD, "x.jsonl, row 1")
    with pytest.raises(ValueError, match=f"x.jsonl, row 1, field {field}: got"):
        validate_record(RECORD | change, "x.jsonl, row 1")
