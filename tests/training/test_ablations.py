"""Ablations: intervals by hand, tables that pair seeds, runs that are done once, and the shipped configuration."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import pytest
import yaml


pytest.importorskip("trl", reason="needs the train extra")
pytest.importorskip("scipy", reason="needs the eval extra")

from stage import RECIPES, fork_stage, save_start, write_records
from tiny import VISION, face

from faceshield_hf.training import ablations
from faceshield_hf.training.ablation_tables import METRICS, markdown, mean_interval, table_rows
from faceshield_hf.training.ablations import (
    AblationArguments,
    launch,
    read_values,
    run_ablations,
    run_folder,
    stage_keys,
)
from faceshield_hf.training.run import RecipeArguments, load_start, parse_arguments


SHIPPED = RECIPES / "faceshield-tiny" / "ablations.yaml"


def arguments(tmp_path, **changes):
    told = {
        "base": str(tmp_path / "init"),
        "recipes": {name: str(RECIPES / "faceshield-tiny" / f"{name}.yaml") for name in ("pretrain", "sft")},
        "data": {"pretrain": str(tmp_path / "records"), "sft": str(tmp_path / "records")},
        "dev": [str(tmp_path / "images")],
        "test": [str(tmp_path / "images")],
        "variants": {"plain": {}, "no view": {"model_fields": {"use_sav": False}}},
        "tables": {"View": ["plain", "no view"]},
        "out": str(tmp_path / "out"),
        "seeds": [0, 1],
    }
    return AblationArguments(**{**told, **changes})


def put_result(told, variant, seed, value):
    folder = run_folder(told, variant, seed)
    folder.mkdir(parents=True)
    report = {}
    for part, key, _ in METRICS.values():
        report.setdefault(part, {})[key] = value
    (folder / "result.json").write_text(json.dumps({"settings": {}, "report": report}))


def test_the_interval_over_seeds_is_students():
    # 0.8, 0.9, 1.0: deviation 0.1, t(0.975, 2) = 4.3027, half width 4.3027 * 0.1 / sqrt(3) = 0.2484
    assert mean_interval([0.8, 0.9, 1.0]) == pytest.approx((0.9, 0.6516, 1.1484), abs=1e-4)
    assert mean_interval([0.5]) == (0.5, None, None)  # one seed has no interval
    assert mean_interval([0.5, float("nan")]) == (0.5, None, None)
    assert mean_interval([0.5, 0.5]) == (0.5, None, None)  # two that agree by chance have none either
    assert mean_interval([]) == (None, None, None)


def test_differences_are_taken_seed_by_seed(tmp_path):
    told = arguments(tmp_path, seeds=[0, 1, 2])
    # Seeds differ much, the variant little and always by 0.01: pairing shows it.
    for seed, value in enumerate((0.2, 0.5, 0.9)):
        put_result(told, "plain", seed, value)
        put_result(told, "no view", seed, value + 0.01 + seed * 0.001)
    plain, row = table_rows(read_values(told, ["plain", "no view"]))
    assert (plain["metrics"]["AUC"]["low"], plain["metrics"]["AUC"]["high"]) == (0.0, 1.0)  # a share has no more
    difference = row["metrics"]["AUC"]["difference"]
    # 0.010, 0.011, 0.012: mean 0.011, half width 4.3027 * 0.001 / sqrt(3) = 0.00248
    assert (difference["mean"], difference["low"]) == pytest.approx((0.011, 0.011 - 0.00248), abs=1e-5)
    text = markdown(table_rows(read_values(told, ["plain", "no view"])))
    assert "better in coarse ACC, AUC" in text  # more is better
    assert "worse in HTER (text)" in text  # less is better
    assert "**+1.1" in text


def test_what_shows_no_difference_is_said_to(tmp_path):
    told = arguments(tmp_path, seeds=[0, 1, 2])
    for seed in (0, 1, 2):
        put_result(told, "plain", seed, 0.5)
        put_result(told, "no view", seed, 0.4 + seed * 0.1)
    assert "- **no view** against plain: no difference shown." in markdown(
        table_rows(read_values(told, ["plain", "no view"]))
    )


def test_a_run_that_is_missing_leaves_its_seed_out(tmp_path):
    told = arguments(tmp_path)
    put_result(told, "plain", 0, 0.5)
    rows = table_rows(read_values(told, ["plain", "no view"]))
    assert [row["seeds"] for row in rows] == [[0], []]
    assert "difference" not in rows[1]["metrics"]["AUC"]
    assert "- **no view** against plain: not compared, no seed is done for both." in markdown(rows)


def test_few_seeds_are_not_taken_for_no_difference(tmp_path):
    told = arguments(tmp_path)
    for seed in (0, 1):
        put_result(told, "plain", seed, 0.2)
        put_result(told, "no view", seed, 0.9)
    text = markdown(table_rows(read_values(told, ["plain", "no view"])))
    assert "- **no view** against plain: fewer than 3 seeds say nothing about chance: run more." in text


def test_keys_are_the_recipes_changed_by_options_and_then_by_the_variant(tmp_path):
    told = arguments(
        tmp_path,
        options={"bf16": False, "sft": {"max_steps": 7}, "model_fields": {"pvtm_keep_ratio": 0.2}},
        variants={"x": {"model_fields": {"use_sav": False}, "pretrain": {"new_connector": True}, "bf16": True}},
        tables={"X": ["x"]},
    )
    pretrain, sft = (stage_keys(told, "x", 3, stage) for stage in ("pretrain", "sft"))
    assert sft["model_fields"] == {"pvtm_keep_ratio": 0.2, "use_sav": False}
    assert (sft["max_steps"], "max_steps" in pretrain, sft["bf16"], sft["seed"]) == (7, False, True, 3)
    assert pretrain["new_connector"] and "new_connector" not in sft
    assert pretrain["model_name_or_path"] == str(tmp_path / "init")
    assert sft["model_name_or_path"] == pretrain["output_dir"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": {"X": ["plain", "nobody"]}}, r"tables name \['nobody'\]"),
        ({"seeds": []}, "seeds is empty"),
        ({"only": ["Nothing"]}, r"only names \['Nothing'\]"),
        ({"data": {"sft": "x"}}, "needs one entry for each of pretrain, sft"),
    ],
)
def test_a_configuration_that_can_not_run_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        arguments(tmp_path, **changes)


def test_the_shipped_configuration_is_read_and_asks_what_recipes_know(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ablate.py", "--config", str(SHIPPED)])
    (told,) = parse_arguments(AblationArguments)
    monkeypatch.chdir(RECIPES.parent)
    import trl

    kinds = (RecipeArguments, trl.SFTConfig, trl.ModelConfig)
    known = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    for variant in told.variants:
        for stage in ("pretrain", "sft"):
            keys = stage_keys(told, variant, 0, stage)
            assert set(keys) <= known, variant
    assert len(told.seeds) >= 3
    titles = " ".join(told.tables)
    for topic in ("SAVP", "masked tokens", "kept tokens", "question", "Connector", "Loss", "risk", "budget"):
        assert topic in titles


def test_every_kind_of_shipped_variant_fits_the_small_checkpoint():
    shipped = yaml.safe_load(SHIPPED.read_text())
    kinds = {}  # variants that change the same keys fit or do not fit together
    for name, changed in shipped["variants"].items():
        new = bool(changed.get("pretrain", {}).get("new_connector"))
        fields, control = changed.get("model_fields", {}), changed.get("masking_control")
        kinds[tuple(fields), new, control] = (name, fields)
    base = RECIPES.parent / "faceshield_hf" / "assets" / "faceshield-tiny"
    start = SimpleNamespace(model_name_or_path=str(base), model_revision=None, dtype=None, attn_implementation=None)
    for (_, new, control), (name, fields) in kinds.items():
        recipe = RecipeArguments(model_fields=fields, new_connector=new, masking_control=control)
        model, processor = load_start(recipe, start)
        assert {field: getattr(model.config, field) for field in fields} == fields, name
        assert processor.image_processor.do_sav == model.config.use_sav, name


def launch_here(folder, stage, keys, processes, recipes):
    """A stage in a process forked from this one: `accelerate launch` would import everything again."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stage}.yaml").write_text(yaml.safe_dump(keys))
    (folder / "sft.yaml").write_text(yaml.safe_dump(keys))
    process = fork_stage(folder, folder / stage)
    process.join()
    assert process.exitcode == 0, (folder / f"{stage}.log").read_text()[-2000:]


def test_a_toy_run_trains_judges_and_is_not_done_twice(tmp_path, monkeypatch):
    save_start(tmp_path / "init", vision_config=VISION | {"image_size": 28})
    write_records(tmp_path / "records")
    (tmp_path / "images").mkdir()
    with (tmp_path / "images" / "metadata.jsonl").open("w") as out:
        for i in range(4):
            face(i).save(tmp_path / "images" / f"{i}.png")
            kind = ("Bonafide", "Print")[i % 2]
            boxes = [] if i % 2 == 0 else [[0.1, 0.1, 0.6, 0.6]]
            told = {"file_name": f"{i}.png", "attack_type": kind, "subject_id": str(i), "boxes": boxes}
            out.write(json.dumps(told) + "\n")
    short = {"max_steps": 1, "per_device_train_batch_size": 2, "save_strategy": "no", "bf16": False}
    told = arguments(tmp_path, seeds=[0], options=short, tables={"View": ["no view"]}, keep_weights=True)
    monkeypatch.setattr(ablations, "launch", launch_here)
    path = run_ablations(told, RECIPES)
    assert "| no view | 1 |" in path.read_text()
    assert '- changed in every run: `{"max_steps": 1' in path.read_text()
    told_again = json.loads(path.with_suffix(".json").read_text())["View"][0]["metrics"]["AUC"]
    assert told_again["low"] is None  # one seed has no interval, and JSON no not-a-number
    folder = run_folder(told, "no view", 0)
    assert yaml.safe_load((folder / "sft.yaml").read_text())["model_fields"] == {"use_sav": False}
    assert json.loads((folder / "result.json").read_text())["report"]["images"] == 4
    assert not json.loads((folder / "sft" / "config.json").read_text())["use_sav"]
    monkeypatch.setattr(ablations, "launch", lambda *a: pytest.fail("trained again"))
    run_ablations(told, RECIPES)
    same = {"seeds": [0], "options": short, "tables": {"View": ["no view"]}}
    for change, message in (
        (
            {"options": short | {"max_steps": 2}},
            r"holds the result of other settings \(pretrain\.max_steps was 1, is 2",
        ),
        ({"processes": 2}, r"\(processes was 1, is 2\)"),
        ({"limit": 2}, r"\(judged\.limit was None, is 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            run_ablations(arguments(tmp_path, **{**same, **change}), RECIPES)
    write_records(tmp_path / "records", images=2)
    with pytest.raises(ValueError, match=r"contents\.data of pretrain was '\w+', is '\w+'"):
        run_ablations(told, RECIPES)


def test_a_run_stopped_between_its_stages_goes_on_only_as_it_began(tmp_path, monkeypatch):
    told = {"seeds": [0], "tables": {"View": ["plain"]}, "options": {"max_steps": 100}}
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "config.json").write_text("{}")
    write_records(tmp_path / "records", images=2)
    launched = []

    def launch(folder, stage, keys, processes, recipes):
        launched.append(stage)
        if stage == "sft" and len(launched) == 2:
            raise KeyboardInterrupt
        (folder / stage).mkdir(parents=True)
        (folder / stage / "run.json").write_text("{}")

    report = {}
    for part, key, _ in METRICS.values():
        report.setdefault(part, {})[key] = 0.5
    monkeypatch.setattr(ablations, "launch", launch)
    monkeypatch.setattr(ablations, "judge_run", lambda *a: report)
    with pytest.raises(KeyboardInterrupt):
        run_ablations(arguments(tmp_path, **told), RECIPES)
    with pytest.raises(ValueError, match=r"holds pretrain of a run of other settings.*max_steps was 100, is 400"):
        run_ablations(arguments(tmp_path, **told | {"options": {"max_steps": 400}}), RECIPES)
    (tmp_path / "init" / "config.json").write_text('{"other": 1}')
    with pytest.raises(ValueError, match=r"contents\.base was"):
        run_ablations(arguments(tmp_path, **told), RECIPES)
    (tmp_path / "init" / "config.json").write_text("{}")
    run_ablations(arguments(tmp_path, **told), RECIPES)
    assert launched == ["pretrain", "sft", "sft"]
    result = json.loads((run_folder(arguments(tmp_path, **told), "plain", 0) / "result.json").read_text())
    assert result["settings"]["processes"] == 1
    assert set(result["settings"]["contents"]) == {"base", "data of pretrain", "data of sft"}


@pytest.mark.slow
def test_a_stage_that_fails_is_shown_with_its_own_error(tmp_path):
    keys = {"data": str(tmp_path), "output_dir": str(tmp_path / "out"), "max_length": None, "use_cpu": True}
    with pytest.raises(RuntimeError, match=r"ValueError: model_name_or_path is not set"):
        launch(tmp_path / "run", "sft", keys, 1, RECIPES)
    assert "model_name_or_path is not set" in (tmp_path / "run" / "sft.log").read_text()
