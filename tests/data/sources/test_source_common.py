"""What all readers share: frames taken evenly, splits that hold still, and label maps that match the documentation."""

import re
from collections import Counter
from pathlib import Path

import pytest
from source_trees import frame_number, write_video

from faceshield_hf.data.sources.common import Splits, evenly, official_split, optional_module
from faceshield_hf.data.sources.extract import extract
from faceshield_hf.data.sources.labels import label_table, native_type_of
from faceshield_hf.data.sources.read import READERS, read
from faceshield_hf.data.sources.video import video_frames


DOCS = Path(__file__).parents[3] / "docs" / "sources.md"


@pytest.mark.parametrize(
    ("total", "count", "offset", "expected"),
    [
        (100, 4, 0, [0, 25, 50, 75]),
        (100, 2, 6, [6, 56]),  # FLIP: the 7th frame and the one half the video later
        (3, 10, 0, [0, 1, 2]),
        (4, 2, 6, [3]),  # shorter than the offset: its last frame
        (0, 5, 0, []),
    ],
)
def test_frames_are_taken_evenly(total, count, offset, expected):
    assert evenly(total, count, offset) == expected


def test_a_subjects_split_depends_on_the_subject_and_the_seed_alone():
    splits = [Splits().of(f"wmca/{n:03d}") for n in range(2000)]
    assert splits == [Splits().of(f"wmca/{n:03d}") for n in range(2000)]
    shares = Counter(splits)
    assert 0.08 < shares["test"] / 2000 < 0.12
    assert 0.08 < shares["validation"] / 2000 < 0.12
    assert splits != [Splits(seed=1).of(f"wmca/{n:03d}") for n in range(2000)]


def test_a_share_of_nothing_holds_nothing_out():
    assert {Splits(validation=0).hold_out(str(n)) for n in range(500)} == {"train"}
    assert {Splits(validation=0.5).hold_out(str(n)) for n in range(500)} == {"train", "validation"}


def test_shares_that_leave_nothing_for_training_are_refused():
    with pytest.raises(ValueError, match="something left for training"):
        Splits(validation=0.5, test=0.5)


def test_the_data_sets_words_for_splits_become_ours():
    assert [official_split(word) for word in ("Train", "devel", "eval", "valid", "lists")] == [
        "train",
        "validation",
        "test",
        "validation",
        None,
    ]


def test_a_missing_library_names_the_extra():
    with pytest.raises(ImportError, match=r"no_such_library: pip install 'faceshield-hf\[sources\]'"):
        optional_module("no_such_library", "reading it")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG")])
def test_a_videos_frames_are_the_ones_asked_for(tmp_path, name, codec):
    video = write_video(tmp_path / name, frames=12, codec=codec)
    got = list(video_frames(video, 4))
    assert [index for index, _ in got] == [0, 3, 6, 9]
    assert [frame_number(image) for _, image in got] == [0, 3, 6, 9]
    assert got[0][1].mode == "RGB"
    assert got[0][1].size == (64, 48)


def test_a_video_cut_off_gives_the_frames_that_it_has(tmp_path):
    video = write_video(tmp_path / "a.avi", frames=12, codec="MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 3 // 4])
    got = list(video_frames(video, 100))
    assert 0 < len(got) < 12
    assert [frame_number(image) for _, image in got] == [index for index, _ in got]


@pytest.mark.parametrize("content", [b"", b"not a video" * 100])
def test_what_is_no_video_is_refused(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mp4 can't be opened as a video"):
        list(video_frames(tmp_path / "a.mp4", 2))


def test_an_unknown_source_names_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown source 'casia'; choose from wmca, padisi"):
        list(read("casia", "."))


@pytest.mark.parametrize(
    ("source", "splits", "message"),
    [
        *[(s, Splits(lists=Path("l")), f"{s} has its splits in its own folder: leave lists out")
          for s in ("msu-mfsd", "casia-fasd", "replay-attack")],
        *[(s, Splits(fold=1), f"got fold 1, but {s} has no numbered lists") for s in READERS if s != "oulu-npu"],
        ("wmca", Splits(lists=Path("l"), fold=1), "got fold 1, but wmca"),
        ("oulu-npu", Splits(fold=1), "got fold 1 without lists: oulu-npu has folds"),
        ("folder", Splits(lists=Path("l")), "a folder's images are taken one a row"),
        ("folder", Splits(fold=1), "a folder's images are taken one a row"),
    ],
)  # fmt: skip
def test_lists_and_folds_that_a_data_set_would_not_look_at_are_refused(tmp_path, source, splits, message):
    with pytest.raises(ValueError, match=message):
        next(read(source, tmp_path, splits))
    if source in READERS:
        with pytest.raises(ValueError, match=message):
            extract(source, tmp_path, tmp_path / "out", splits)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", READERS)
def test_a_folder_that_is_not_there_says_what_is_expected(source, tmp_path):
    with pytest.raises(ValueError, match=r"expected|holds no"):
        list(read(source, tmp_path / "nothing"))


@pytest.mark.parametrize("source", READERS)
def test_the_documented_label_map_is_the_one_in_use(source):
    # The table under the heading that begins with the source's name in backticks.
    section = re.search(rf"^### `{re.escape(source)}`.*?\n\n(\| type .*?)\n\n", DOCS.read_text() + "\n\n", re.M | re.S)
    assert section, f"docs/sources.md has no table for {source}"
    assert section[1].strip() == label_table(source)


@pytest.mark.parametrize(
    ("source", "label", "expected"),
    [
        ("wmca", "3_05", "Replay"),
        ("wmca", "1_02", "Rigid mask"),
        ("padisi", "m50602", "Makeup"),
        ("siw-mv2", "Mask_PaperMask", "Paper mask"),
        ("celeba-spoof", "10", "Rigid mask"),
        ("msu-mfsd", "iphone_video", "Replay"),
        ("casia-fasd", "cut photo", "Print"),
        ("replay-attack", "highdef_photo", "Replay"),
        ("oulu-npu", "3", "Print"),
    ],
)
def test_native_labels_become_types(source, label, expected):
    assert native_type_of(source, label).value == expected


def test_the_tables_shorten_runs():
    assert "| Paper mask | `2_08` to `2_11` |" in label_table("wmca").splitlines()
    assert "| Rigid mask | `1_02`, `1_13` to `1_14`, `2_12` to `2_17` |" in label_table("wmca").splitlines()
