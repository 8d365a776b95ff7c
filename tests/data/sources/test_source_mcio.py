"""The four sets of MCIO in their own layouts: labels from names, subjects, official splits."""

import pytest
from source_trees import frame_number, write_video

from faceshield_hf.data.sources.common import Skipped, Splits
from faceshield_hf.data.sources.mcio import READERS
from faceshield_hf.data.sources.read import read


ALL = Splits(validation=0)
LISTERS = {reader.source: reader.recordings for reader in READERS}


def listed(source, root, names, splits=ALL):
    """Listing opens no video, so empty files will do."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    found = list(LISTERS[source](root, splits))
    kept = {r.name: (r.subject_id, r.attack_type.value, r.native_label, r.split) for r in found if hasattr(r, "path")}
    return kept, {item.item: item.reason for item in found if isinstance(item, Skipped)}


def test_msu_mfsd(tmp_path):
    (tmp_path / "train_sub_list.txt").write_text("02\n03\n")
    (tmp_path / "test_sub_list.txt").write_text("01\n")
    names = [
        "scene01/real/real_client001_android_SD_scene01.mp4",
        "scene01/attack/attack_client002_laptop_SD_printed_photo_scene01.mov",
        "scene01/attack/attack_client003_android_SD_ipad_video_scene01.mp4",
        "scene01/attack/attack_client003_android_SD_hologram_scene01.mp4",
        "scene01/real/real_client099_android_SD_scene01.mp4",
        "scene01/real/attack_client001_android_SD_scene01.mp4",
    ]
    kept, skipped = listed("msu-mfsd", tmp_path, names)
    assert kept == {
        names[0]: ("msu-mfsd/001", "Bonafide", "real", "test"),
        names[1]: ("msu-mfsd/002", "Print", "printed_photo", "train"),
        names[2]: ("msu-mfsd/003", "Replay", "ipad_video", "train"),
    }
    assert "'hologram' is none of" in skipped[names[3]]
    assert "in neither subject list" in skipped[names[4]]
    assert "the name is not" in skipped[names[5]]


def test_msu_mfsd_needs_its_subject_lists(tmp_path):
    with pytest.raises(ValueError, match=r"holds no train_sub_list\.txt"):
        listed("msu-mfsd", tmp_path, ["scene01/real/real_client001_android_SD_scene01.mp4"])


def test_casia_fasd_numbers_two_sets_of_people(tmp_path):
    names = ["train_release/1/1.avi", "train_release/1/HR_2.avi", "test_release/1/5.avi", "test_release/2/HR_4.avi",
             "test_release/2/9.avi"]  # fmt: skip
    kept, skipped = listed("casia-fasd", tmp_path, names)
    assert kept == {
        names[0]: ("casia-fasd/train-1", "Bonafide", "real", "train"),
        names[1]: ("casia-fasd/train-1", "Print", "warped photo", "train"),
        names[2]: ("casia-fasd/test-1", "Print", "cut photo", "test"),
        names[3]: ("casia-fasd/test-2", "Replay", "video", "test"),
    }
    assert list(skipped) == [names[4]]


def test_replay_attack(tmp_path):
    names = [
        "train/real/client001_session01_webcam_authenticate_adverse_1.mov",
        "devel/attack/fixed/attack_print_client003_session01_highdef_photo_adverse.mov",
        "test/attack/hand/attack_mobile_client009_session01_mobile_video_controlled.mov",
        "test/attack/hand/attack_highdef_client009_session01_highdef_photo_controlled.mov",
        "enroll/train/client001_session02_webcam_authenticate_controlled_1.mov",
        "train/attack/hand/client001_session01_webcam_authenticate_adverse_1.mov",
    ]
    kept, skipped = listed("replay-attack", tmp_path, names)
    assert kept == {
        names[0]: ("replay-attack/001", "Bonafide", "real", "train"),
        names[1]: ("replay-attack/003", "Print", "print_photo", "validation"),
        names[2]: ("replay-attack/009", "Replay", "mobile_video", "test"),
        names[3]: ("replay-attack/009", "Replay", "highdef_photo", "test"),
    }
    assert "enrolment" in skipped[names[4]]
    assert "the path is not" in skipped[names[5]]


def test_oulu_npu_with_and_without_a_protocol(tmp_path):
    names = [
        "Train_files/1_1_01_1.avi",
        "Dev_files/2_3_21_2.avi",
        "Test_files/6_3_55_5.avi",
        "Test_files/6_3_55_6.avi",
    ]
    kept, skipped = listed("oulu-npu", tmp_path, names)
    assert kept == {
        names[0]: ("oulu-npu/01", "Bonafide", "1", "train"),
        names[1]: ("oulu-npu/21", "Print", "2", "validation"),
        names[2]: ("oulu-npu/55", "Replay", "5", "test"),
    }
    assert list(skipped) == [names[3]]
    lists = tmp_path / "Protocols" / "Protocol_3"
    lists.mkdir(parents=True)
    for split, line in (("Train", "+1,1_1_01_1"), ("Dev", ""), ("Test", "-2,6_3_55_5")):
        (lists / f"{split}_2.txt").write_text(line + "\n")
    kept, skipped = listed("oulu-npu", tmp_path, [], Splits(lists=lists, fold=2))
    assert [row[3] for row in kept.values()] == ["test", "train"]
    assert "in none of the lists" in skipped[names[1]]
    with pytest.raises(ValueError, match="protocols 3 and 4 need a fold"):
        listed("oulu-npu", tmp_path, [], Splits(lists=lists))


def test_training_subjects_are_held_out_where_there_are_none_for_validation(tmp_path):
    names = [f"train_release/{n}/1.avi" for n in range(1, 21)] + ["test_release/1/1.avi"]
    kept, _ = listed("casia-fasd", tmp_path, names, Splits(validation=0.5))
    splits = [row[3] for row in kept.values()]
    assert set(splits) == {"train", "validation", "test"}
    assert splits.count("test") == 1


def test_two_frames_a_video_as_in_flip(tmp_path):
    write_video(tmp_path / "train_release/1/1.avi", frames=12, codec="MJPG")
    items = list(read("casia-fasd", tmp_path))
    assert [item.attributes["frame"] for item in items] == [6, 11]  # 6 and 6 + 12 // 2, of which 11 is the last
    assert [frame_number(item.open()) for item in items] == [6, 11]
