"""Every YAML of the embedded checkpoint and of accelerate is read by its parser, and unknown keys are refused."""

import ast
import dataclasses
import re
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


def test_a_short_trial_is_not_taken_for_the_real_run(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RECIPES))
    import make_tiny

    make_tiny.keep_settings(make_tiny.MakeArguments(faces="faces", stage_options=["--max_steps=2"]), tmp_path / "out")
    with pytest.raises(ValueError, match="another stage_options: choose another `out`"):
        make_tiny.keep_settings(make_tiny.MakeArguments(faces="faces"), tmp_path / "out")


def test_a_stages_changed_yaml_makes_another_run_and_a_comment_does_not(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RECIPES))
    import make_tiny

    for name in ("tower", "pretrain", "sft"):
        (tmp_path / f"{name}.yaml").write_text((TINY / f"{name}.yaml").read_text())
    monkeypatch.setattr(make_tiny, "stage_yaml", lambda name: tmp_path / f"{name}.yaml")
    arguments = make_tiny.MakeArguments(faces="faces")
    make_tiny.keep_settings(arguments, tmp_path / "out")
    text = (tmp_path / "sft.yaml").read_text()
    (tmp_path / "sft.yaml").write_text("# Said otherwise\n" + text)
    make_tiny.keep_settings(arguments, tmp_path / "out")
    (tmp_path / "sft.yaml").write_text(text.replace("learning_rate: 1.0e-3", "learning_rate: 2.0e-3"))
    with pytest.raises(ValueError, match=r"another sft\.yaml: choose"):
        make_tiny.keep_settings(arguments, tmp_path / "out")


def test_the_language_model_starts_from_the_seed(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RECIPES))
    import make_tiny
    import torch

    def first(*args, **kwargs):
        raise RuntimeError("the tower is loaded")

    for stage in ("pretrain", "sft"):
        (tmp_path / "records" / stage).mkdir(parents=True)
        (tmp_path / "records" / stage / "train.jsonl").write_text("")
    monkeypatch.setattr(make_tiny, "train_tokenizer", lambda texts: None)
    monkeypatch.setattr(make_tiny, "tiny_processor", lambda tokenizer: None)
    monkeypatch.setattr("transformers.MobileNetV2Model.from_pretrained", first)
    with pytest.raises(RuntimeError, match="the tower is loaded"):
        make_tiny.make_initial(make_tiny.MakeArguments(faces="faces", seed=5), tmp_path)
    assert torch.initial_seed() == 5


def test_a_package_that_the_report_needs_is_asked_for_before_the_first_step(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RECIPES))
    import make_tiny

    monkeypatch.setattr("faceshield_hf.evaluation.command._PACKAGES", ("no_such_package",))
    with pytest.raises(SystemExit, match=r"needs no_such_package: pip install 'faceshield-hf\[eval\]'"):
        make_tiny.main(make_tiny.MakeArguments(faces="faces", out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["make_tiny", "evaluate"])
def test_the_header_names_the_extras_that_a_report_needs(script):
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    extras = tomllib.loads((RECIPES.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    header = (RECIPES / f"{script}.py").read_text().split("# ///")[1]
    named = re.search(r"faceshield-hf\[([\w,]+)\]", header)[1].split(",")
    brought = {re.split("[><=]", package)[0] for extra in named for package in extras[extra]}
    optional = {re.split("[><=]", package)[0] for extra in ("train", "eval") for package in extras[extra]}
    modules = {"sklearn": "scikit-learn", "yaml": "pyyaml", "rouge_score": "rouge-score"}
    files = (RECIPES.parent / "faceshield_hf" / "evaluation").glob("*.py")
    imported = {
        name.split(".")[0]
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    needed = {modules.get(name, name) for name in imported} & optional
    assert {"matplotlib", "sacrebleu", "scipy"} <= needed <= brought


@pytest.mark.parametrize("path", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_every_accelerate_config_is_one_that_accelerate_reads(path):
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes >= 1


def test_a_misspelt_key_is_refused(tmp_path, monkeypatch):
    (tmp_path / "wrong.yaml").write_text("data: x\nlearning_rat: 1\nuse_cpu: true\n")
    monkeypatch.setattr(sys, "argv", ["sft.py", "--config", str(tmp_path / "wrong.yaml")])
    with pytest.raises(ValueError, match="learning_rat"):
        parse_arguments(*KINDS["sft.yaml"])
