"""CelebA-Spoof's labels as a stream, its face boxes, and rows that contradict themselves."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_trees import write_celeba

from faceshield_hf.data.sources import celeba_spoof
from faceshield_hf.data.sources.celeba_spoof import parse_labels
from faceshield_hf.data.sources.common import Skipped, Splits
from faceshield_hf.data.sources.crop import Crop
from faceshield_hf.data.sources.read import read


ROWS = [("101", "live", "1", 0), ("101", "spoof", "2", 3), ("102", "spoof", "3", 10)]


@given(st.dictionaries(st.text(), st.lists(st.integers(-9, 99)), max_size=8), st.sampled_from([None, 1]))
@settings(max_examples=60, deadline=None)
def test_any_table_is_parsed_as_json_parses_it(table, indent):
    assert dict(parse_labels(io.StringIO(json.dumps(table, indent=indent)), "x")) == table


def test_entries_may_lie_across_pieces(monkeypatch):
    table = {f"Data/train/{n}/live/{n}.png": [n] * 44 for n in range(50)}
    monkeypatch.setattr(celeba_spoof, "_CHUNK", 37)
    assert list(parse_labels(io.StringIO(json.dumps(table)), "x")) == list(table.items())


@pytest.mark.parametrize("text", ["", "[1]", '{"a": [1]', '{"a": [1], "b": [2', '{"a": {"b": 1}}'])
def test_a_damaged_table_is_an_error(text):
    with pytest.raises(ValueError, match=r"labels\.json"):
        list(parse_labels(io.StringIO(text), "labels.json"))


def test_images_stay_where_they_are_with_their_labels_and_boxes(tmp_path):
    write_celeba(tmp_path, ROWS)
    items = list(read("celeba-spoof", tmp_path, Splits(validation=0)))
    assert [item.attack_type.value for item in items] == ["Bonafide", "Print", "Rigid mask"]
    assert [item.native_label for item in items] == ["0", "3", "10"]
    assert [item.subject_id for item in items] == ["celeba-spoof/101", "celeba-spoof/101", "celeba-spoof/102"]
    assert {item.split for item in items} == {"train"}
    assert items[0].path == tmp_path / "Data/train/101/live/1.png"
    assert items[0].content is None
    assert items[0].attributes["face_box"] == [0.25, 0.25, 0.75, 0.75]
    assert (items[0].attributes["illumination"], items[0].attributes["environment"]) == (1, 2)


def test_the_given_box_is_what_is_cropped(tmp_path):
    write_celeba(tmp_path, ROWS[:1])
    (sample,) = read("celeba-spoof", tmp_path, crop=Crop(margin=1, size=0))
    assert sample.open().size == (24, 24)  # half of 48 x 40 pixels, as a square


def test_test_images_are_for_testing(tmp_path):
    write_celeba(tmp_path, ROWS[:1])
    write_celeba(tmp_path, [("900", "live", "9", 0)], split="test")
    assert [item.split for item in read("celeba-spoof", tmp_path, Splits(validation=0))] == ["train", "test"]


def test_what_contradicts_itself_or_is_missing_is_listed(tmp_path):
    wrong = [("103", "live", "4", 2), ("104", "spoof", "5", 11)]
    fine = [("105", "live", "6", 0), ("106", "live", "7", 0), ("107", "live", "8", 0)]
    labels = write_celeba(tmp_path, [*ROWS, *wrong, *fine])
    labels["Data/train/106/live/7.png"] = [0] * 43
    labels["../../106/live/7.png"] = [0] * 44
    (tmp_path / "metas/intra_test/train_label.json").write_text(json.dumps(labels))
    (tmp_path / "Data/train/101/live/1.png").write_bytes(b"")
    (tmp_path / "Data/train/105/live/6.png").unlink()
    (tmp_path / "Data/train/107/live/8_BB.txt").write_text("10 10 0 5 0.9")
    items = list(read("celeba-spoof", tmp_path))
    reasons = {item.item: item.reason for item in items if isinstance(item, Skipped)}
    assert len(items) == 9
    assert "not an image" in reasons["Data/train/101/live/1.png"]
    assert "disagree on live or spoof" in reasons["Data/train/103/live/4.png"]
    assert "'11' belongs to none" in reasons["Data/train/104/spoof/5.png"]
    assert "no such file" in reasons["Data/train/105/live/6.png"]
    assert reasons["Data/train/106/live/7.png"] == "got 43 labels, expected 44"
    assert "the path is not" in reasons["../../106/live/7.png"]
    assert "is empty or outside" in reasons["Data/train/107/live/8.png"]
