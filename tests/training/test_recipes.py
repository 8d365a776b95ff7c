"""The recipes run: every YAML is read by its parser, both stages train, stop and go on."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml


trl = pytest.importorskip("trl", reason="needs the train extra")

from tiny import face, tiny_model, tiny_processor  # noqa: E402
from transformers import TrainingArguments  # noqa: E402

from faceshield_hf import FaceShieldForConditionalGeneration  # noqa: E402
from faceshield_hf.training.fit_tower import TowerArguments  # noqa: E402
from faceshield_hf.training.run import RecipeArguments, parse_arguments, run_stage  # noqa: E402


RECIPES = Path(__file__).parents[2] / "recipes"
KINDS = {
    "tower.yaml": (TowerArguments, TrainingArguments),
    "pretrain.yaml": (RecipeArguments, trl.SFTConfig, trl.ModelConfig),
    "sft.yaml": (RecipeArguments, trl.SFTConfig, trl.ModelConfig),
}
TINY = RECIPES / "faceshield-tiny"


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A random checkpoint and four records to learn from."""
    folder = tmp_path_factory.mktemp("stage")
    tiny_model().save_pretrained(folder / "init")
    tiny_processor().save_pretrained(folder / "init")
    (folder / "records").mkdir()
    with (folder / "records" / "train.jsonl").open("w") as out:
        for i in range(4):
            face(i).save(folder / "records" / f"{i}.png")
            answer = f"The face in the image is {'real' if i % 2 else 'a spoof'}."
            out.write(json.dumps({"image": f"{i}.png", "question": "Is it real?", "answer": answer}) + "\n")
    return folder


def arguments(start, out, *more):
    options = ["--config", str(TINY / "sft.yaml"), "--model_name_or_path", str(start / "init")]
    options += ["--data", str(start / "records"), "--output_dir", str(out), "--per_device_train_batch_size", "2"]
    return [*options, "--bf16", "false", "--save_steps", "1", "--logging_steps", "1", *more]


def run(monkeypatch, options):
    monkeypatch.setattr(sys, "argv", ["sft.py", *options])
    run_stage(*parse_arguments(*KINDS["sft.yaml"]))


@pytest.mark.parametrize("path", sorted(TINY.glob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_is_read_without_unknown_keys(path, monkeypatch):
    if path.name == "make.yaml":
        monkeypatch.syspath_prepend(str(RECIPES))
        import make_tiny

        known = {field.name for field in dataclasses.fields(make_tiny.MakeArguments)}
        assert set(yaml.safe_load(path.read_text())) <= known
        return
    monkeypatch.setattr(sys, "argv", ["recipe.py", "--config", str(path)])
    parsed = parse_arguments(*KINDS[path.name])
    assert len(parsed) == len(KINDS[path.name])


@pytest.mark.parametrize("path", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_every_accelerate_config_is_one_that_accelerate_reads(path):
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes >= 1


def test_a_misspelt_key_is_refused(tmp_path, monkeypatch):
    (tmp_path / "wrong.yaml").write_text("data: x\nlearning_rat: 1\nuse_cpu: true\n")
    monkeypatch.setattr(sys, "argv", ["sft.py", "--config", str(tmp_path / "wrong.yaml")])
    with pytest.raises(ValueError, match="learning_rat"):
        parse_arguments(*KINDS["sft.yaml"])


def test_a_stage_changes_only_its_parts_and_leaves_a_whole_checkpoint(start, tmp_path, monkeypatch):
    run(monkeypatch, arguments(start, tmp_path / "out", "--max_steps", "2"))
    before, after = (
        FaceShieldForConditionalGeneration.from_pretrained(folder).state_dict()
        for folder in (start / "init", tmp_path / "out")
    )
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert any(name.startswith("lm_head") for name in changed)
    assert any(name.startswith("model.multi_modal_projector") for name in changed)
    assert not any(name.startswith("model.vision_tower") for name in changed)
    assert json.loads((tmp_path / "out" / "faceshield_run.json").read_text())["seed"] == 0
    assert (tmp_path / "out" / "processor_config.json").is_file()


def test_a_stopped_stage_goes_on_to_the_same_weights(start, tmp_path, monkeypatch):
    run(monkeypatch, arguments(start, tmp_path / "whole", "--max_steps", "3"))
    # The schedule is that of three steps; the run is cut after the second one's checkpoint.
    run(monkeypatch, arguments(start, tmp_path / "cut", "--max_steps", "3", "--save_total_limit", "9"))
    for name in ("checkpoint-3",):
        for file in (tmp_path / "cut" / name).iterdir():
            file.unlink()
        (tmp_path / "cut" / name).rmdir()
    (tmp_path / "cut" / "model.safetensors").unlink()
    run(monkeypatch, arguments(start, tmp_path / "cut", "--max_steps", "3", "--save_total_limit", "9"))
    whole, resumed = (
        FaceShieldForConditionalGeneration.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "cut")
    )
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_a_length_that_cuts_image_tokens_is_refused(start, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="max_length is 64, which would cut image tokens"):
        run(monkeypatch, arguments(start, tmp_path / "out", "--max_length", "64"))


@pytest.mark.slow
def test_accelerate_launches_lora_on_a_stage(start, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(RECIPES / "accelerate" / "cpu.yaml"), str(RECIPES / "sft.py")]
    lora = ["--use_peft", "true", "--train_parts", "connector", "--lora_target_modules", "qkv_proj", "o_proj"]
    command += arguments(start, tmp_path / "out", "--max_steps", "1", *lora)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
