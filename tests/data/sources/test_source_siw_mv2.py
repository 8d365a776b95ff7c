"""SiW-Mv2's folders of videos, the authors' lists, and names that contradict their folders."""

import pytest
from source_trees import frame_number, write_video

from faceshield_hf.data.sources.common import Skipped, Splits
from faceshield_hf.data.sources.read import read


NAMES = ("Live/Live_1.mp4", "Spoof/Print/Paper_12.mp4", "Spoof/Mask_HalfMask/Mask_Half_3.mp4")


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        write_video(tmp_path / "siw" / name)
    return tmp_path / "siw"


def test_folders_are_labels_and_frames_are_spread(root):
    items = list(read("siw-mv2", root, frames=3))
    assert [item.attack_type.value for item in items[::3]] == ["Bonafide", "Rigid mask", "Print"]
    assert [item.native_label for item in items[::3]] == ["Live", "Mask_HalfMask", "Print"]
    assert [item.attributes["frame"] for item in items[:3]] == [0, 4, 8]
    assert [frame_number(item.open()) for item in items[:3]] == [0, 4, 8]
    assert items[0].subject_id == "siw-mv2/Live_1"


def test_reading_twice_gives_the_same(root):
    assert list(read("siw-mv2", root, frames=2)) == list(read("siw-mv2", root, frames=2))


def test_wrong_and_damaged_videos_are_listed(root):
    write_video(root / "Spoof/Mask_PaperMask/Paper_7.mp4")  # the prefix means a print
    write_video(root / "Spoof/Hologram/Hologram_1.mp4")
    (root / "Live/Live_2.mp4").write_bytes(b"")
    skipped = {item.item: item.reason for item in read("siw-mv2", root, frames=1) if isinstance(item, Skipped)}
    assert "the video's name says another type" in skipped["Spoof/Mask_PaperMask/Paper_7.mp4"]
    assert "'Hologram' belongs to none" in skipped["Spoof/Hologram/Hologram_1.mp4"]
    assert "can't be opened" in skipped["Live/Live_2.mp4"]
    assert len(skipped) == 3


def test_the_authors_lists_decide(root, tmp_path):
    lists = tmp_path / "pro_3_text"
    lists.mkdir()
    names = {
        "trainlist_live": "Live_1\nLive_1\n",
        "trainlist_all": "",
        "testlist_live": "",
        "testlist_all": "Paper_12",
    }
    for stem, text in names.items():
        (lists / f"{stem}.txt").write_text(text)
    items = list(read("siw-mv2", root, Splits(lists=lists, validation=0), frames=1))
    assert [item.split for item in items if not isinstance(item, Skipped)] == ["train", "test"]
    (skipped,) = (item for item in items if isinstance(item, Skipped))
    assert skipped.item == "Spoof/Mask_HalfMask/Mask_Half_3.mp4"
    (lists / "testlist_live.txt").unlink()
    with pytest.raises(ValueError, match=r"there is no .*testlist_live\.txt"):
        list(read("siw-mv2", root, Splits(lists=lists)))


def test_a_table_of_subjects_keeps_people_together(root):
    (root / "subjects.csv").write_text("video,subject\nLive_1,p7\nPaper_12,p7\n")
    subjects = {item.subject_id for item in read("siw-mv2", root, frames=1)}
    assert subjects == {"siw-mv2/p7", "siw-mv2/Mask_Half_3"}
