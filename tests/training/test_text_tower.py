"""A model that ranks visual tokens by a text tower's reading of the question: composed and trained like any other."""

import json

import pytest
import torch
import yaml


trl = pytest.importorskip("trl", reason="needs the train extra")

from stage import RECIPES, SMALL, run_recipe, save_parts, write_config, write_records  # noqa: E402
from test_prompts import LENGTH, READER, SPECIAL, reader  # noqa: E402
from tiny import VISION  # noqa: E402
from transformers import SiglipConfig, SiglipModel  # noqa: E402

from faceshield_hf import FaceShieldForConditionalGeneration, FaceShieldProcessor  # noqa: E402
from faceshield_hf.training.grpo import GRPORecipeArguments, run_grpo  # noqa: E402
from faceshield_hf.training.run import RecipeArguments, run_stage  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a checkpoint composed by the recipe (`init`), records and a stage's YAML."""
    folder = tmp_path_factory.mktemp("text-tower")
    _, text = save_parts(folder)
    tower = {name: value for name, value in VISION.items() if name not in ("model_type", "vision_use_head")}
    vision = folder / "two-tower"
    SiglipModel(SiglipConfig(vision_config=tower, text_config=READER | SPECIAL)).save_pretrained(vision)
    reader().save_pretrained(vision)
    told = {"model_fields": {"pvtm_prompt_source": "text_tower", "pvtm_mask_prob": 0.5}}
    told |= {"vision": str(vision), "text": str(text), "output_dir": str(folder / "init")}
    (folder / "compose.yaml").write_text(yaml.safe_dump(told))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        from compose import ComposeArguments, compose

        run_recipe(patch, compose, (ComposeArguments,), folder / "compose.yaml")
    write_records(folder / "records")
    write_config(folder)
    return folder


def learnt_mask(folder, out):
    before, after = (
        FaceShieldForConditionalGeneration.from_pretrained(path).model.pvtm.mask_embedding
        for path in (folder / "init", out)
    )
    return not torch.equal(before, after)


def test_the_recipe_composes_model_and_processor(folder):
    model = FaceShieldForConditionalGeneration.from_pretrained(folder / "init")
    assert model.config.pvtm_prompt_source == "text_tower"
    assert FaceShieldProcessor.from_pretrained(folder / "init").prompt_length == LENGTH


@pytest.mark.parametrize("cached", [False, True], ids=["pictures", "cached features"])
def test_a_supervised_stage_trains_it(cached, folder, tmp_path, monkeypatch):
    more = ["--output_dir", tmp_path / "out", *SMALL]
    more += ["--cache_vision_features", tmp_path / "features"] if cached else []
    kinds = (RecipeArguments, trl.SFTConfig, trl.ModelConfig)
    run_recipe(monkeypatch, run_stage, kinds, folder / "sft.yaml", *more)
    assert learnt_mask(folder, tmp_path / "out")
    assert FaceShieldProcessor.from_pretrained(tmp_path / "out").prompt_length == LENGTH


def test_rewards_train_it(folder, tmp_path, monkeypatch):
    told = yaml.safe_load((folder / "sft.yaml").read_text())
    told.pop("max_length")
    told |= {"tasks": ["localization"], "num_generations": 2, "max_completion_length": 4, "beta": 0.1}
    (tmp_path / "grpo.yaml").write_text(yaml.safe_dump(told))
    kinds = (GRPORecipeArguments, trl.GRPOConfig, trl.ModelConfig)
    run_recipe(monkeypatch, run_grpo, kinds, tmp_path / "grpo.yaml", "--output_dir", tmp_path / "out", *SMALL)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["global_step"] == 2
    assert FaceShieldProcessor.from_pretrained(tmp_path / "out").prompt_length == LENGTH
