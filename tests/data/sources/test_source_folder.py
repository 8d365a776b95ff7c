"""A plain folder with metadata.jsonl: streamed, every image decoded once, bad rows listed."""

import json

import pytest
from PIL import Image
from source_trees import picture

from faceshield_hf.data.sources.common import Skipped
from faceshield_hf.data.sources.crop import Crop
from faceshield_hf.data.sources.read import read


def write(root, rows):
    for name in ("a.png", "b.png"):
        Image.fromarray(picture()).save(root / name)
    (root / "empty.png").write_bytes(b"")
    (root / "metadata.jsonl").write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return root


def test_good_rows_come_and_bad_rows_are_listed(tmp_path):
    good = {"file_name": "a.png", "attack_type": "Print", "subject_id": "s1", "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    rows = [
        good,
        good | {"file_name": "empty.png"},
        good | {"file_name": "none.png"},
        good | {"attack_type": "Hologram"},
        good | {"boxes": [[0.1, 0.1, 1.5, 0.5]]},
        good | {"split": "dev"},
        good | {"attack_type": "", "dataset": "siw-mv2", "native_label": "Wig"},
        "{",
        "[1]",
        {"file_name": "b.png", "dataset": "siw-mv2", "native_label": "Mask_HalfMask", "subject_id": "s2"},
    ]
    items = list(read("folder", write(tmp_path, rows)))
    assert [item.attack_type.value for item in items if not isinstance(item, Skipped)] == ["Print", "Rigid mask"]
    assert len(items[0].boxes) == 1
    assert (items[0].source, items[9].source, items[9].native_label) == ("folder", "siw-mv2", "Mask_HalfMask")
    reasons = [item.reason for item in items if isinstance(item, Skipped)]
    for number, (reason, expected) in enumerate(
        zip(reasons, ["not an image", "field file_name", "field attack_type", "field boxes", "field split",
                      "field native_label", "not JSON", "expected a JSON object"], strict=True), 2):  # fmt: skip
        assert expected in reason
        assert items[number - 1].item == f"metadata.jsonl, row {number}"


def test_a_row_without_a_split_gets_its_subjects(tmp_path):
    row = {"file_name": "a.png", "attack_type": "Print", "subject_id": "s1"}
    first, second, third = read(
        "folder", write(tmp_path, [row, row | {"file_name": "b.png"}, row | {"split": "test"}])
    )
    assert first.split == second.split != ""
    assert third.split == "test"


def test_frames_of_a_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="taken one a row"):
        list(read("folder", tmp_path, frames=2))


def test_cropping_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="before their boxes are drawn"):
        list(read("folder", tmp_path, crop=Crop()))
