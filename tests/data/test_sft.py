"""Records become TRL's columns; images stay encoded; missing data says what is missing."""

import json

import pytest


datasets = pytest.importorskip("datasets", reason="needs the train extra")

from PIL import Image  # noqa: E402

from faceshield_hf.data.sft import load_records, load_sft  # noqa: E402


@pytest.fixture
def records(tmp_path):
    Image.new("RGB", (8, 6), (255, 0, 0)).save(tmp_path / "a.png")
    row = {"image": "a.png", "question": "Is it real?", "answer": "The face in the image is real.", "label": "real"}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def test_a_record_becomes_image_prompt_and_completion(records):
    (row,) = load_sft(str(records))
    assert set(row) == {"image", "prompt", "completion"}
    assert row["image"].size == (8, 6)
    assert row["prompt"] == [{"role": "user", "content": "Is it real?"}]
    assert row["completion"] == [{"role": "assistant", "content": "The face in the image is real."}]


def test_a_folder_without_the_split_says_so(records):
    with pytest.raises(ValueError, match=r"holds neither test\.jsonl nor parquet"):
        load_sft(str(records), "test")


def test_a_missing_column_is_named(records):
    (records / "train.jsonl").write_text(json.dumps({"image": "a.png", "question": "Is it?"}) + "\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['answer'\]"):
        load_sft(str(records))


@pytest.mark.parametrize(
    "card", ["", "---\nconfigs:\n- config_name: default\n  data_files: data/train-*.parquet\n---\n"]
)
def test_folders_of_one_name_keep_their_own_records_and_a_rebuilt_one_gives_the_new(tmp_path, card):
    """Whatever `datasets` has in its cache."""

    def build(folder, answer):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(card)
        rows = datasets.Dataset.from_list([{"answer": answer}])
        rows.to_parquet(folder / "data" / "train-00000.parquet")
        return load_records(str(folder))["answer"]

    assert list(build(tmp_path / "a" / "out", "one")) == ["one"]
    assert list(build(tmp_path / "b" / "out", "two")) == ["two"]
    assert list(build(tmp_path / "a" / "out", "three")) == ["three"]
