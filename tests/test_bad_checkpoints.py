"""A checkpoint folder with a missing, damaged or foreign file gives an error that says so, never a random model."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from tiny import TEXT, tiny_model
from transformers import Phi3Config, Phi3ForCausalLM

from faceshield_hf import FaceShieldForConditionalGeneration, FaceShieldModel


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def load(folder, model_class=FaceShieldForConditionalGeneration):
    return model_class.from_pretrained(folder)


@pytest.mark.parametrize("model_class", [FaceShieldForConditionalGeneration, FaceShieldModel])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(folder, name, model_class):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"is no complete FaceShield checkpoint: .*{name}"):
        load(folder, model_class)


def test_truncated_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is no complete FaceShield checkpoint"):
        load(folder)


def test_a_damaged_configuration_is_refused(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"is no complete FaceShield checkpoint: .*config\.json"):
        load(folder)


def test_the_configuration_of_another_model_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(ValueError, match='model_type "llava", expected "faceshield"'):
        load(folder)


def test_the_weights_of_another_model_are_refused(folder):
    text = {key: value for key, value in TEXT.items() if key != "model_type"}
    Phi3ForCausalLM(Phi3Config(**text)).save_pretrained(folder / "other")
    shutil.copy(folder / "other" / "model.safetensors", folder)
    with pytest.raises(ValueError, match=r"have nothing for vision_tower \(\d+ tensors missing\)"):
        load(folder)


def test_weights_without_the_connector_are_refused(folder):
    weights = {name: tensor.contiguous() for name, tensor in load(folder).state_dict().items()}
    without = {name: tensor for name, tensor in weights.items() if "projector" not in name}
    save_file(without, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="have nothing for multi_modal_projector"):
        load(folder)


def test_whoever_asks_for_the_loading_info_gets_it_instead(folder):
    save_file({"other": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    _, info = FaceShieldForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert "lm_head.weight" in info["missing_keys"]


def test_pickled_weights_are_never_read(folder):
    (folder / "model.safetensors").unlink()
    torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
    for kwargs in ({}, {"use_safetensors": False}):
        with pytest.raises(ValueError, match=r"no complete FaceShield checkpoint: .*model\.safetensors"):
            FaceShieldForConditionalGeneration.from_pretrained(folder, **kwargs)


def test_a_name_that_is_no_folder_stays_transformers_own_error():
    with pytest.raises(OSError, match="offline"):
        load("no/such")
