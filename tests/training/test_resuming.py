"""Going on with a run: only with the same one, never past its end, and with a record that stays true."""

import copy
import json

import pytest


pytest.importorskip("trl", reason="needs the train extra")

from stage import run, weights, write_records

from faceshield_hf.tasks_faceshield import Task
from faceshield_hf.training.provenance import FILE, LOG, write_run
from faceshield_hf.training.resuming import check_unchanged, last_checkpoint


LORA = ["--use_peft", "true", "--merge_lora", "true", "--train_parts", "connector"]
LORA += ["--lora_target_modules", "qkv_proj", "o_proj"]


@pytest.mark.parametrize(
    "options",
    [["--max_steps", "2"], ["--num_train_epochs", "0.5"], ["--max_steps", "2", *LORA]],
    ids=["steps", "epochs", "lora"],
)
def test_a_finished_run_that_is_repeated_stays_as_it_was(options, start, tmp_path, monkeypatch):
    def leave():
        run(monkeypatch, start, tmp_path, *options, "--save_steps", "1")
        folder = tmp_path / "merged" if "--use_peft" in options else tmp_path
        return weights(folder), [(tmp_path / name).read_text() for name in (FILE, LOG, "README.md")]

    before, told = leave()
    assert json.loads(told[0])["global_step"] == 2  # of the epoch's four
    for _ in range(2):
        again, told_again = leave()
        assert told_again == told
        assert all(value.equal(again[name]) for name, value in before.items())
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")


def test_a_run_of_other_settings_or_data_is_not_gone_on_with(start, tmp_path, monkeypatch):
    common = ["--max_steps", "2", "--save_steps", "1"]
    run(monkeypatch, start, tmp_path / "out", *common)
    told = (tmp_path / "out" / FILE).read_text()
    write_records(tmp_path / "records", (Task.FINE, Task.COARSE))
    more = ["--learning_rate", "0.01", "--train_parts", "connector", "--data", str(tmp_path / "records")]
    with pytest.raises(ValueError, match="belongs to another run") as error:
        run(monkeypatch, start, tmp_path / "out", *common, *more)
    message = str(error.value)
    assert "training.learning_rate was 0.001 and is now 0.01" in message
    assert "recipe.train_parts was ['connector', 'pvtm', 'language_model'] and is now ['connector']" in message
    assert "data was ['" in message
    assert "choose another output_dir" in message
    assert (tmp_path / "out" / FILE).read_text() == told


TOLD = {
    "recipe": {"data": "a", "train_parts": ["connector"]},
    "model": {"model_name_or_path": "init"},
    "training": {"learning_rate": 1e-3, "max_steps": 2, "per_device_train_batch_size": 4, "save_steps": 10},
    "data": {"data": "a", "revision": None, "sha256": "0f"},
    "rows_a_step": 8,
    "global_step": 1,
}


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("recipe", {"data": "elsewhere", "cache_vision_features": "features"}),
        (
            "training",
            {"max_steps": 9, "save_steps": 1, "logging_steps": 5, "output_dir": "b", "report_to": ["trackio"]},
        ),
        ("training", {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),  # as many rows a step
        ("data", {"data": "elsewhere"}),  # of the same contents
    ],
)
def test_what_changes_no_step_may_change(section, change, tmp_path):
    write_run(tmp_path, TOLD)
    told = copy.deepcopy(TOLD)
    told[section] |= change
    assert check_unchanged(tmp_path, told) == TOLD


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("training", {"seed": 1}, r"training\.seed was None and is now 1"),
        ("recipe", {"lopsided_alpha": 0.7}, r"recipe\.lopsided_alpha was None and is now 0\.7"),
        ("model", {"model_name_or_path": "other"}, r"model\.model_name_or_path was 'init' and is now 'other'"),
        ("data", {"sha256": "1e"}, r"data was \['0f'\] and is now \['1e'\]"),
        (None, {"rows_a_step": 16}, "rows_a_step was 8 and is now 16"),
    ],
)
def test_what_changes_a_step_is_named_with_both_values(section, change, message, tmp_path):
    write_run(tmp_path, TOLD)
    told = copy.deepcopy(TOLD)
    (told if section is None else told[section]).update(change)
    with pytest.raises(ValueError, match=message):
        check_unchanged(tmp_path, told)


def test_a_data_set_of_the_hub_is_known_by_its_commit(tmp_path):
    hub = {"data": "me/faces", "revision": "main", "commit": "abc"}
    write_run(tmp_path, TOLD | {"data": hub})
    assert check_unchanged(tmp_path, TOLD | {"data": hub | {"revision": "abc"}})
    with pytest.raises(ValueError, match=r"data was \['me/faces@abc'\] and is now \['me/faces@def'\]"):
        check_unchanged(tmp_path, TOLD | {"data": hub | {"commit": "def"}})


def test_a_checkpoint_that_tells_nothing_is_gone_on_with_and_warned_of(tmp_path):
    with pytest.warns(UserWarning, match=r"has no run\.json"):
        assert check_unchanged(tmp_path, TOLD) is None


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    for step, state in ((2, "{}"), (10, "{}"), (30, '{"cut'), (40, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert last_checkpoint(tmp_path / "nowhere") is None
