import json

import numpy as np
import pytest
from PIL import Image

from faceshield_hf.data.leak import (
    Traits,
    area_under_curve,
    carried,
    leak_test,
    main,
    median_box_recall,
    nuisances,
    read_traits,
)


BOX = (0.25, 0.25, 0.75, 0.75)


def _data_set(folder, *, dark_background=False, inside=200, count=24):
    """Noise pictures; attacks have a bright square and, if wanted, a background that gives them away."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for k in range(2 * count):
        attack = k % 2 == 1
        pixels = rng.normal(90 if attack and dark_background else 128, 25, (80, 80, 3))
        if attack:
            pixels[20:60, 20:60] = rng.normal(inside, 5, (40, 40, 3))
        name = f"images/{k:03d}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name, quality=85)
        rows.append(
            {
                "file_name": name,
                "attack_type": "Print" if attack else "Bonafide",
                "boxes": [list(BOX)] if attack else [],
                "subject_id": f"s{k // 4}",
                "domain": "A",
                "attributes": json.dumps({"face_box": [0.3, 0.3, 0.7, 0.7]}),
            }
        )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_background_that_gives_attacks_away_is_found(tmp_path):
    report = leak_test([_data_set(tmp_path / "a", dark_background=True)], workers=1, progress=False)
    (row,) = report.rows
    assert row.nuisance > 0.95
    assert (row.live, row.attacks) == (24, 24)


def test_an_attack_that_changes_only_its_box_is_no_leak_but_is_reported_beside_it(tmp_path):
    (row,) = leak_test([_data_set(tmp_path / "a")], workers=1, progress=False).rows
    assert row.nuisance < 0.7
    assert row.changed > 0.95
    assert row.recall == 1.0


def test_the_command_prints_the_table_writes_it_and_fails_on_a_leak(tmp_path, capsys):
    clean, leaky = _data_set(tmp_path / "clean"), _data_set(tmp_path / "leaky", dark_background=True)
    table = tmp_path / "leak.md"
    assert main(["--data", str(clean), "--workers", "1", "--limit", "0.75", "--out", str(table)]) == 0
    assert "| A | Print | 24 | 24 |" in table.read_text()
    assert table.read_text() in capsys.readouterr().out
    assert main(["--data", str(leaky), "--workers", "1"]) == 1


def test_a_broken_image_is_listed_and_the_others_are_measured(tmp_path):
    folder = _data_set(tmp_path / "a")
    (folder / "images" / "002.jpg").write_bytes(b"")
    report = leak_test([folder], workers=1, progress=False)
    assert [name for name, _ in report.skipped] == [str(folder / "images" / "002.jpg")]
    assert report.rows[0].live == 23


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no metadata.jsonl"):
        leak_test([tmp_path], progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": "{}"}, r"images/000\.jpg of .*a has no face_box in its attributes: give folders written by"),
        ({"attributes": {}}, "has no face_box"),
        ({"attributes": None}, "has no attributes: give folders"),
        ({"attributes": None, "domain": None}, "has no domain, attributes"),
    ],
)
def test_rows_without_what_is_measured_are_one_line_and_code_2(tmp_path, capsys, change, message):
    folder = _data_set(tmp_path / "a", count=2)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    rows[0] = {key: value for key, value in (rows[0] | change).items() if value is not None}
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=message):
        leak_test([folder], workers=1, progress=False)
    assert main(["--data", str(folder), "--workers", "1"]) == 2
    assert "has no" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("line", "told"), [("[1]", "got [1], expected a JSON object"), ("{", "not JSON")])
def test_a_table_of_something_else_is_one_line_and_code_2(tmp_path, capsys, line, told):
    (tmp_path / "metadata.jsonl").write_text(line + "\n")
    assert main(["--data", str(tmp_path)]) == 2
    assert f"metadata.jsonl, row 1: {told}" in capsys.readouterr().err
    assert main(["--data", str(tmp_path / "none")]) == 2


def test_attributes_may_be_an_object(tmp_path):
    folder = _data_set(tmp_path / "a", count=2)
    row = json.loads((folder / "metadata.jsonl").read_text().splitlines()[0])
    assert read_traits(folder, row | {"attributes": {"face_box": [0.3, 0.3, 0.7, 0.7]}}).face == (0.3, 0.3, 0.7, 0.7)


def test_what_lies_in_the_box_is_not_looked_at():
    cells = np.random.default_rng(0).random((20, 20, 4))
    traits = Traits("A", "Print", "s", (BOX,), BOX, (1.0,) * 9, cells, ())
    other = cells.copy()
    other[5:15, 5:15] = 9
    assert nuisances(traits, [BOX]) == nuisances(Traits("A", "Print", "s", (BOX,), BOX, (1.0,) * 9, other, ()), [BOX])
    other[0, 0] = 9
    assert nuisances(traits, [BOX]) != nuisances(Traits("A", "Print", "s", (BOX,), BOX, (1.0,) * 9, other, ()), [BOX])


def test_a_box_over_all_leaves_nothing_but_the_frame():
    traits = Traits("A", "Print", "s", (BOX,), BOX, (1.0,) * 9, np.ones((20, 20, 4)), ())
    features = np.array(nuisances(traits, [(0.0, 0.0, 1.0, 1.0)]))
    assert np.isnan(features[9:]).all()
    assert not np.isnan(features[:9]).any()


def test_boxes_are_carried_from_face_to_face():
    # The box covers the upper half of a face; on a face twice as wide and at another place it does the same.
    moved = carried([(0.2, 0.2, 0.4, 0.3)], (0.2, 0.2, 0.4, 0.4), (0.5, 0.1, 0.9, 0.3))
    assert moved[0] == pytest.approx((0.5, 0.1, 0.9, 0.2))


def test_the_median_box_finds_what_overlaps_it_by_half():
    boxes = [[(0.0, 0.0, 0.4, 0.4)], [(0.0, 0.0, 0.4, 0.4)], [(0.0, 0.2, 0.4, 0.6)]]
    # The median is the first box; the third shares 0.08 of 0.24 with it: IoU 1/3.
    assert median_box_recall(boxes) == pytest.approx(2 / 3)


def test_no_subject_is_on_both_sides_of_a_fold():
    # Every subject has features of its own and one label: known people would be told apart perfectly.
    rng = np.random.default_rng(0)
    own = rng.normal(size=(24, 40))
    features = np.repeat(own, 4, 0)
    labels = np.repeat(np.arange(24) % 2, 4)
    subjects = [str(k // 4) for k in range(96)]
    assert area_under_curve(features, labels, subjects) < 0.75
    assert area_under_curve(features, labels, [str(k) for k in range(96)]) > 0.95


def test_too_few_images_give_no_number():
    assert np.isnan(area_under_curve(np.ones((20, 1)), np.array([0] * 15 + [1] * 5), [str(k) for k in range(20)]))
