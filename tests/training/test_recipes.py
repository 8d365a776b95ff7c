"""Every YAML of the embedded checkpoint and of accelerate is read by its parser, and unknown keys are refused."""

import dataclasses
import sys
from pathlib import Path

import pytest
import yaml


trl = pytest.importorskip("trl", reason="needs the train extra")

from transformers import TrainingArguments  # noqa: E402

from faceshield_hf.training.ablations import AblationArguments  # noqa: E402
from faceshield_hf.training.fit_tower import TowerArguments  # noqa: E402
from faceshield_hf.training.run import RecipeArguments, parse_arguments  # noqa: E402


RECIPES = Path(__file__).parents[2] / "recipes"
KINDS = {
    "tower.yaml": (TowerArguments, TrainingArguments),
    "pretrain.yaml": (RecipeArguments, trl.SFTConfig, trl.ModelConfig),
    "sft.yaml": (RecipeArguments, trl.SFTConfig, trl.ModelConfig),
    "ablations.yaml": (AblationArguments,),
}
TINY = RECIPES / "faceshield-tiny"


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


def test_the_domain_kept_for_testing_is_never_learnt_from(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    import make_tiny

    arguments = make_tiny.MakeArguments(faces="faces", unseen_domain="B")
    assert [folder.name for folder in make_tiny.folders(arguments, Path("out"), "train")] == ["train-A", "train-C"]
    with pytest.raises(ValueError, match="'D': expected one of A, B, C"):
        make_tiny.MakeArguments(faces="faces", unseen_domain="D")


def test_a_folder_of_other_settings_is_not_gone_on_with(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RECIPES))
    import make_tiny

    make_tiny.keep_settings(make_tiny.MakeArguments(faces="faces"), tmp_path)
    make_tiny.keep_settings(make_tiny.MakeArguments(faces="faces", processes=1), tmp_path)
    with pytest.raises(ValueError, match="another unseen_domain: choose another `out`"):
        make_tiny.keep_settings(make_tiny.MakeArguments(faces="faces", unseen_domain="B"), tmp_path)


@pytest.mark.parametrize("path", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_every_accelerate_config_is_one_that_accelerate_reads(path):
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes >= 1


def test_a_misspelt_key_is_refused(tmp_path, monkeypatch):
    (tmp_path / "wrong.yaml").write_text("data: x\nlearning_rat: 1\nuse_cpu: true\n")
    monkeypatch.setattr(sys, "argv", ["sft.py", "--config", str(tmp_path / "wrong.yaml")])
    with pytest.raises(ValueError, match="learning_rat"):
        parse_arguments(*KINDS["sft.yaml"])
