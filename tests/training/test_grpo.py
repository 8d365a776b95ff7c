"""Training by rewards: what it refuses, when it stops, and that it leaves a checkpoint like every other stage."""

import json
import subprocess
import sys

import pytest
import torch
import yaml


trl = pytest.importorskip("trl", reason="needs the train extra")

from stage import run_recipe  # noqa: E402
from tiny import face, tiny_processor  # noqa: E402

from faceshield_hf import FaceShieldProcessor  # noqa: E402
from faceshield_hf.training.grpo import (  # noqa: E402
    FaceShieldGRPOTrainer,
    GRPORecipeArguments,
    StackedViewsProcessor,
    run_grpo,
)


def reward(monkeypatch, start, out, *options):
    told = yaml.safe_load((start / "sft.yaml").read_text())
    told.pop("max_length")
    told |= {"tasks": ["fine"], "num_generations": 2, "max_completion_length": 4, "learning_rate": 1.0e-4}
    out.mkdir(parents=True, exist_ok=True)
    (out.parent / "grpo.yaml").write_text(yaml.safe_dump(told))
    kinds = (GRPORecipeArguments, trl.GRPOConfig, trl.ModelConfig)
    run_recipe(monkeypatch, run_grpo, kinds, out.parent / "grpo.yaml", "--output_dir", out, *options)


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory):
    out = tmp_path_factory.mktemp("grpo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        reward(patch, start, out, "--max_steps", "1", "--save_steps", "1")
    return out


def test_a_checkpoint_holds_the_models_own_processor(start, trained):
    for folder in (trained, trained / "checkpoint-1"):
        assert not (folder / "grpo.py").exists()
        saved, first = (json.loads((f / "processor_config.json").read_text()) for f in (folder, start / "init"))
        assert saved == first
        sides = [FaceShieldProcessor.from_pretrained(f).tokenizer.padding_side for f in (folder, start / "init")]
        assert sides[0] == sides[1]


def test_a_process_without_the_package_loads_the_checkpoints_processor(trained):
    code = (
        "import sys; sys.modules['faceshield_hf'] = None\n"
        "from transformers import AutoProcessor\n"
        "p = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "print(type(p).__name__)\n"
    )
    command = [sys.executable, "-I", "-c", code, str(trained / "checkpoint-1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=trained)
    assert done.stdout.strip() == "FaceShieldProcessor", done.stderr[-800:]


def test_stacking_leaves_the_models_processor_as_it_is():
    processor = tiny_processor()
    before = processor.tokenizer.padding_side
    stacked = StackedViewsProcessor.like(processor)
    assert (stacked.tokenizer.padding_side, processor.tokenizer.padding_side) == ("left", before)
    assert isinstance(processor, FaceShieldProcessor) and not isinstance(processor, StackedViewsProcessor)
    asked = {"images": [face()], "text": ["<image>Real?"], "return_tensors": "pt"}
    views, stack = processor(**asked), stacked(**asked)
    assert torch.equal(stack["pixel_values"], torch.stack([views["pixel_values"], views["sav_values"]], dim=1))


def test_a_run_of_other_settings_is_not_gone_on_with(start, trained, monkeypatch):
    with pytest.raises(ValueError, match=r"training\.beta was 0\.0 and is now 0\.1"):
        reward(monkeypatch, start, trained, "--max_steps", "2", "--beta", "0.1")


def test_a_finished_run_that_is_repeated_stays_as_it_was(start, trained, monkeypatch):
    names = ("run.json", "log.json", "model.safetensors")
    before = [(trained / name).read_bytes() for name in names]
    reward(monkeypatch, start, trained, "--max_steps", "1", "--save_steps", "1")
    assert [(trained / name).read_bytes() for name in names] == before


def test_a_loss_that_is_no_number_stops_the_run(start, tmp_path, monkeypatch):
    monkeypatch.setattr(
        trl.GRPOTrainer, "_compute_loss", lambda self, *args: torch.tensor(float("nan"), requires_grad=True)
    )
    with pytest.raises(ValueError, match=r"the loss is nan at step 1: lower learning_rate"):
        reward(monkeypatch, start, tmp_path / "out", "--max_steps", "1")
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--merge_lora", "true"], "merge_lora is set without use_peft"),
        (["--use_peft", "true", "--model_fields", "{}", "--new_connector", "true"], "Set merge_lora: true"),
        (["--connector_learning_rate", "0.1"], "connector_learning_rate: only supervised stages have this"),
        (["--alone_tasks", "fine"], "alone_tasks: only supervised stages have this"),
        (
            ["--lopsided_alpha", "0.7", "--questions_per_row", "2"],
            "lopsided_alpha, questions_per_row: only supervised",
        ),
        (["--data", ""], "data is not set"),
    ],
)
def test_settings_that_would_do_nothing_or_fail_late_are_refused(more, message, start, tmp_path, monkeypatch):
    monkeypatch.setattr(FaceShieldGRPOTrainer, "train", lambda *args, **kwargs: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=message):
        reward(monkeypatch, start, tmp_path / "out", *more)


def test_merging_is_refused_where_weights_are_split(start, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setattr("faceshield_hf.training.grpo.avoid_emulation", lambda *args: pytest.fail("it went on"))
    with pytest.raises((ValueError, RuntimeError), match="merge_lora needs whole weights on every process"):
        reward(monkeypatch, start, tmp_path / "out", "--merge_lora", "true", "--use_peft", "true")
