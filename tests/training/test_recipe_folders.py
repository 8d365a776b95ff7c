"""Every folder of recipes runs from its first YAML to its last, for two steps, on tiny models of the same classes."""

import json
from pathlib import Path

import pytest
import torch
import yaml


trl = pytest.importorskip("trl", reason="needs the train extra")

from stage import RECIPES, SMALL, run_recipe, save_parts, write_records  # noqa: E402
from transformers import AutoModel  # noqa: E402

from faceshield_hf.training.grpo import GRPORecipeArguments, run_grpo  # noqa: E402
from faceshield_hf.training.run import RecipeArguments, run_stage  # noqa: E402


SUPERVISED = (RecipeArguments, trl.SFTConfig, trl.ModelConfig)
REWARDED = (GRPORecipeArguments, trl.GRPOConfig, trl.ModelConfig)
FOLDERS = {
    "faceshield-phi3-siglip": ["pretrain", "sft"],
    "bunny-baseline": ["pretrain", "sft"],
    "ifas": ["pretrain", "sft"],
    "facecot": ["pretrain", "cot", "joint", "grpo"],
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return (*save_parts(folder), write_records(folder / "records"))


def compose(monkeypatch, folder, vision, text, out):
    monkeypatch.syspath_prepend(str(RECIPES))
    from compose import ComposeArguments, compose

    options = ["--vision", vision, "--text", text, "--output_dir", out / "init"]
    if folder == "ifas":  # the tiny tower gives one global query a layer; 96 would outnumber its patches
        told = yaml.safe_load((RECIPES / folder / "compose.yaml").read_text())
        told["model_fields"]["gac_num_queries"] = 6
        (out / "compose.yaml").write_text(yaml.safe_dump(told))
    path = out / "compose.yaml" if folder == "ifas" else RECIPES / folder / "compose.yaml"
    run_recipe(monkeypatch, compose, (ComposeArguments,), path, *options)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_runs_from_its_first_yaml_to_its_last(folder, parts, tmp_path, monkeypatch):
    vision, text, records = parts
    compose(monkeypatch, folder, vision, text, tmp_path)
    for stage in FOLDERS[folder]:
        path = RECIPES / folder / f"{stage}.yaml"
        told = yaml.safe_load(path.read_text())
        # The YAML's own chain of folders, moved: outputs/<folder>/<stage>.
        assert told["output_dir"] == f"outputs/{folder}/{stage}"
        start = told["model_name_or_path"].removeprefix(f"outputs/{folder}/")
        options = ["--model_name_or_path", tmp_path / start, "--output_dir", tmp_path / stage, "--data", records]
        options += SMALL
        if "vision_tower_from" in told:
            options += ["--vision_tower_from", tmp_path / told["vision_tower_from"].removeprefix(f"outputs/{folder}/")]
        if stage == "grpo":
            options += ["--num_generations", "2", "--max_completion_length", "8"]
            run_recipe(monkeypatch, run_grpo, REWARDED, path, *options)
        else:
            run_recipe(monkeypatch, run_stage, SUPERVISED, path, *options)
        run = json.loads((tmp_path / stage / "run.json").read_text())
        assert run["recipe"]["train_parts"] == told["train_parts"]
        assert run["global_step"] == 2
    last = tmp_path / stage
    finished = last / "merged" if (last / "merged").is_dir() else last
    model = AutoModel.from_pretrained(finished)
    assert all(value.isfinite().all() for value in model.state_dict().values())


STAGES = [RECIPES / name / f"{stage}.yaml" for name, stages in FOLDERS.items() for stage in stages]
STAGES += [RECIPES / "faceshield-tiny" / f"{stage}.yaml" for stage in ("tower", "pretrain", "sft")]


@pytest.mark.parametrize(
    "path",
    [path for name in (*FOLDERS, "faceshield-tiny") for path in sorted((RECIPES / name).glob("*.yaml"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_keys_stand_in_order_inside_their_blocks_and_the_hardware_comes_first(path):
    text = path.read_text()
    assert text.startswith("# ")
    for block in text.split("\n\n"):
        keys = [line.split(":")[0] for line in block.splitlines() if line and not line.startswith(("#", " "))]
        assert keys == sorted(set(keys))
    if path in STAGES:
        assert "GPU" in text.splitlines()[0] or "CPU" in text.splitlines()[0]
        assert yaml.safe_load(text)["seed"] == 0
    if path in STAGES and path.stem not in ("grpo", "tower"):
        assert yaml.safe_load(text)["max_length"] is None


def made_folders():
    """Folders of records that shipped commands write when they are given their YAML alone, and the tasks in each."""
    made = {}
    for path in (RECIPES / "build-dataset").glob("*.yaml"):
        told = yaml.safe_load(path.read_text())
        if path.stem == "scf":  # recipes/scf.py works in `out` and leaves the records in one of its folders
            made[f"{told['out']}/interpretations"] = {"fine"}
        else:
            made[told["out"]] = set(told["tasks"])
    tiny = yaml.safe_load((RECIPES / "faceshield-tiny" / "make.yaml").read_text())["out"]
    made |= {f"{tiny}/records/pretrain": {"describe", "localization"}, f"{tiny}/records/sft": set()}
    for script, folders in (("scf", ["interpretations"]), ("make_tiny", ["pretrain", "sft"])):
        text = (RECIPES / f"{script}.py").read_text()
        assert all(f'"{folder}"' in text for folder in folders)
    return made


@pytest.mark.parametrize("path", STAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_data_of_every_stage_is_what_a_shipped_command_writes(path):
    told, made = yaml.safe_load(path.read_text()), made_folders()
    if path.stem == "tower":  # images, not records
        return
    assert told["data"] in made
    assert set(told.get("tasks", ())) <= made[told["data"]]
    commands = (path.parent / "README.md").read_text()
    named = {part.split()[0] for part in commands.split("--data ")[1:]}
    assert named <= set(made)
    if not named:  # nothing is given beside the YAML, so the README says how its folder is made
        built = [f"build-dataset/{recipe.name}" for recipe in (RECIPES / "build-dataset").glob("*.yaml")]
        makers = [recipe for recipe in built if recipe in commands] + ["make_tiny.py"] * ("make_tiny.py" in commands)
        assert any(Path(maker).stem in (Path(told["data"]).name, "make_tiny") for maker in makers)


def test_progressive_learning_keeps_the_encoder_and_starts_the_rest_anew(parts, tmp_path, monkeypatch):
    from stage import save_start

    from faceshield_hf import FaceShieldForConditionalGeneration
    from faceshield_hf.training.progressive import take_vision_tower

    save_start(tmp_path / "base")
    save_start(tmp_path / "cot")
    base, cot = (FaceShieldForConditionalGeneration.from_pretrained(tmp_path / name) for name in ("base", "cot"))
    with torch.no_grad():
        for parameter in cot.parameters():
            parameter.add_(0.5)
    cot.save_pretrained(tmp_path / "cot")
    before = {name: value.clone() for name, value in base.state_dict().items()}
    take_vision_tower(base, str(tmp_path / "cot"))
    for name, value in base.state_dict().items():
        from_cot = "vision_tower" in name
        torch.testing.assert_close(value, cot.state_dict()[name] if from_cot else before[name], rtol=0, atol=0)


def test_a_tower_of_another_size_is_refused(tmp_path):
    from stage import save_start
    from tiny import VISION, tiny_model

    from faceshield_hf.training.progressive import take_vision_tower

    save_start(tmp_path / "cot", vision_config=VISION | {"hidden_size": 48})
    with pytest.raises(ValueError, match=r"tensors differ, such as .* with shape"):
        take_vision_tower(tiny_model(), str(tmp_path / "cot"))
