import collections
import json

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from faceshield_hf.data.simulate import folder, list_faces, plan_types, simulate_folder
from faceshield_hf.data.simulate.folder import read_subjects
from faceshield_hf.tasks_faceshield import AttackType


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    root = tmp_path_factory.mktemp("faces")
    (root / "deep" / "er").mkdir(parents=True)
    photo = Image.fromarray(astronaut())
    photo.save(root / "one.png")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "deep" / "er" / "two.jpg")
    Image.new("RGB", (80, 80), (9, 99, 9)).save(root / "wall.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (root / "empty.png").write_bytes(b"")
    (root / "notes.txt").write_text("no image")
    return root


def _bytes(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(faces, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "set"
    simulate_folder(faces, out, per_face=4, seed=1, domain="B", workers=1)
    return out


def test_every_file_is_either_used_or_listed_with_its_reason(faces, made):
    rows = [json.loads(line) for line in (made / "metadata.jsonl").read_text().splitlines()]
    skipped = {r["source"]: r["reason"] for r in map(json.loads, (made / "skipped.jsonl").read_text().splitlines())}
    assert collections.Counter(r["source"] for r in rows) == {"deep/er/two.jpg": 4, "one.png": 4}
    assert skipped["notes.txt"] == "not an image file"
    assert skipped["wall.png"].startswith("no face found in an image of 80x80 px")
    assert "not a readable image" in skipped["empty.png"]
    assert skipped.keys() == {"notes.txt", "wall.png", "empty.png", "broken.jpg"}


def test_rows_say_what_the_images_are(made):
    for row in map(json.loads, (made / "metadata.jsonl").read_text().splitlines()):
        with Image.open(made / row["file_name"]) as image:
            assert image.size == (row["width"], row["height"])
        assert row["label"] == ("real" if row["attack_type"] == "Bonafide" else "spoof")
        assert len(row["boxes"]) == len(row["box_labels"])
        assert json.loads(row["attributes"])["domain"] == row["domain"] == "B"
        assert json.loads(row["attributes"])["simulated"] is True
        assert row["subject_id"] in ("one", "deep/er/two")


def test_imagefolder_reads_it(made):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(made), split="train", cache_dir=str(made.parent / "c"))
    assert len(loaded) == 8
    assert loaded[0]["image"].size == (loaded[0]["width"], loaded[0]["height"])


@pytest.mark.slow
def test_two_processes_and_one_write_the_same_bytes(faces, made, tmp_path):
    simulate_folder(faces, tmp_path / "set", per_face=4, seed=1, domain="B", workers=2)
    assert _bytes(tmp_path / "set") == _bytes(made)


def test_a_run_that_lost_its_end_is_finished_to_the_same_bytes(faces, made, tmp_path):
    whole = _bytes(made)
    out = tmp_path / "set"
    for name, data in whole.items():
        if name not in ("metadata.jsonl", "skipped.jsonl") and "000005" not in name and "000004" not in name:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)
    kept = next((out / "images").iterdir())
    before = kept.stat().st_mtime_ns
    simulate_folder(faces, out, per_face=4, seed=1, domain="B", workers=1)
    assert _bytes(out) == whole
    assert kept.stat().st_mtime_ns == before


def test_a_folder_with_another_run_is_refused(faces, made):
    with pytest.raises(ValueError, match="holds a run with other seed"):
        simulate_folder(faces, made, per_face=4, seed=2, domain="B", workers=1)


def test_a_list_of_files_can_be_given_with_a_root(faces, made, tmp_path):
    files = [faces / "one.png"]
    simulate_folder(files, tmp_path / "set", per_face=1, seed=1, domain="A", workers=1, root=faces, live_share=0)
    row = json.loads((tmp_path / "set" / "metadata.jsonl").read_text())
    assert row["source"] == "one.png"
    assert row["label"] == "spoof"


def test_bona_fide_gets_its_share_and_attacks_are_equally_often():
    plan = plan_types(faces=110, per_face=10, seed=0, live_share=0.3)
    counts = collections.Counter(t for types in plan for t in types)
    assert {len(types) for types in plan} == {10}
    assert counts.pop(AttackType.BONAFIDE) == 330
    assert set(counts.values()) == {70}
    assert len({types.index(AttackType.BONAFIDE) for types in plan}) > 3


def test_faces_are_found_in_subfolders_in_a_fixed_order(faces, tmp_path):
    assert [p.name for p in list_faces(faces)] == ["broken.jpg", "two.jpg", "empty.png", "one.png", "wall.png"]
    with pytest.raises(ValueError, match="has no image"):
        list_faces(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        list_faces(tmp_path / "none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_face": 0}, "got per_face=0"),
        ({"seed": -1}, "got seed=-1"),
        ({"domain": "X"}, "got domain 'X'"),
        ({"workers": 0}, "got workers=0"),
        ({"live_share": 1.5}, "got live_share=1.5"),
        ({"attack_types": ["Bonafide"]}, "names no attack"),
        ({"attack_types": ["Deepfake"]}, "known are Bonafide"),
        ({"faces": []}, "empty list of faces"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_written(faces, tmp_path, arguments, message):
    given = {"faces": faces, "out": tmp_path / "set", "per_face": 1, "seed": 0, "domain": "A", "workers": 1}
    with pytest.raises(ValueError, match=message):
        simulate_folder(**{**given, **arguments})
    assert not (tmp_path / "set").exists()


def test_attack_types_limit_what_is_drawn():
    plan = plan_types(5, 4, 0, live_share=0.25, attack_types=[AttackType.PRINT, AttackType.REPLAY])
    assert {t.value for types in plan for t in types} == {"Bonafide", "Print", "Replay"}
    assert np.sum([t.is_live for types in plan for t in types]) == 5


def test_an_attack_that_cannot_be_shown_is_listed_and_the_rest_is_made(faces, tmp_path, monkeypatch):
    def choosy(source, kind, *arguments):
        if kind is AttackType.TATTOO:
            raise ValueError("in 8 draws no Tattoo attack was visible: give a larger, frontal face")
        return render(source, kind, *arguments)

    render = folder.render
    monkeypatch.setattr(folder, "render", choosy)
    out = tmp_path / "set"
    kinds = [AttackType.TATTOO, AttackType.MAKEUP]
    simulate_folder([faces / "one.png"], out, 4, 0, workers=1, attack_types=kinds, live_share=0, root=faces)
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    skipped = [json.loads(line) for line in (out / "skipped.jsonl").read_text().splitlines()]
    assert [row["attack_type"] for row in rows] == ["Makeup", "Makeup"]
    assert {row["source"] for row in skipped} == {"one.png"}
    assert [row["attack_type"] for row in skipped] == ["Tattoo", "Tattoo"]
    assert "no Tattoo attack was visible" in skipped[0]["reason"]


def test_a_table_says_whose_face_a_photo_shows(faces, tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("\ufefffile,subject,set\n./one.png,ann,x\ndeep/er/two.jpg,ann,x\n", encoding="utf-8")
    subjects = read_subjects(table, faces)
    assert subjects == {"one.png": "ann", "deep/er/two.jpg": "ann"}
    simulate_folder(faces, tmp_path / "set", 1, 0, workers=1, subjects=subjects)
    rows = [json.loads(line) for line in (tmp_path / "set" / "metadata.jsonl").read_text().splitlines()]
    assert [row["subject_id"] for row in rows] == ["ann", "ann"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"file,person\none.png,ann\n", "people.csv has no column subject"),
        (b"", "has no column file and no column subject"),
        (b"file,subject\none.png,\n", "line 2: got file 'one.png' and subject '', expected both"),
        (b"file,subject\none.png\n", "line 2: got file 'one.png' and subject ''"),
        (b"file,subject\nthree.png,ann\n", "line 2: there is no file 'three.png' in "),
        (b"file,subject\none.png,ann\n./one.png,bob\n", "line 3: './one.png' shows 'bob', but 'ann' before"),
        (b"file,subject\none.png,\xff\n", "can't be read as CSV in UTF-8"),
        (None, "there is no table .*people.csv: give a CSV"),
    ],
)
def test_a_wrong_table_of_subjects_is_refused_by_line(faces, tmp_path, text, message):
    table = tmp_path / "people.csv"
    if text is not None:
        table.write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read_subjects(table, faces)
