"""The embedded checkpoint's parts: its tokenizer, its wiring, its export and its calibration."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MobileNetV2Config, MobileNetV2Model

from faceshield_hf import FaceShieldForConditionalGeneration, FaceShieldProcessor
from faceshield_hf.tasks_faceshield import QUESTIONS
from faceshield_hf.training.export import calibrate, export_checkpoint
from faceshield_hf.training.stages import PARTS, train_only
from faceshield_hf.training.tiny import tiny_model, tiny_processor, train_tokenizer


TEXTS = [wording for wordings in QUESTIONS.values() for wording in wordings] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([*TEXTS, "The spoof area is [12, 7, 300, 999], a screen."], vocab_size=600)


@pytest.fixture(scope="module")
def parts(tokenizer):
    torch.manual_seed(0)
    tower = MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35, tf_padding=False), add_pooling_layer=False)
    processor = tiny_processor(tokenizer)
    return tiny_model(tower, processor, hidden_size=48, layers=1), processor


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=False) == text or "<" in text


def test_every_digit_is_a_token_of_its_own(tokenizer):
    assert [tokenizer.decode([i]) for i in tokenizer.encode("999")] == ["9", "9", "9"]


def test_model_and_processor_agree_on_the_number_of_image_tokens(parts):
    model, processor = parts
    assert processor.num_image_tokens == 128
    inputs = processor.image_processor(np.zeros((64, 64, 3), np.uint8), return_tensors="pt")
    (tokens,) = model.get_image_features(**inputs).pooler_output
    assert tokens.shape[0] == 128


def test_the_export_is_half_as_large_and_loads_in_float32(parts, tmp_path):
    model, processor = parts
    model.save_pretrained(tmp_path / "full")
    processor.save_pretrained(tmp_path / "full")
    export_checkpoint(tmp_path / "full", tmp_path / "half")
    full, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    loaded = FaceShieldForConditionalGeneration.from_pretrained(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name].half().to(value.dtype), msg=name)
    assert FaceShieldProcessor.from_pretrained(tmp_path / "half").num_image_tokens == 128


def test_weights_too_large_for_half_precision_are_refused(parts, tmp_path):
    model, processor = parts
    model.save_pretrained(tmp_path / "full")
    processor.save_pretrained(tmp_path / "full")
    broken = FaceShieldForConditionalGeneration.from_pretrained(tmp_path / "full")
    with torch.no_grad():
        broken.lm_head.weight[0, 0] = 1e6
    broken.save_pretrained(tmp_path / "full")
    with pytest.raises(ValueError, match=r"1 tensors don't fit into float16.*lm_head\.weight"):
        export_checkpoint(tmp_path / "full", tmp_path / "half")


def test_calibration_is_stored_where_the_model_reads_it(parts, tmp_path):
    class Stub:
        def __init__(self, live, score):
            self.sample = type("S", (), {"is_live": live})
            self.score = score

    model, _ = parts
    model.save_pretrained(tmp_path)
    fitted = calibrate([Stub(True, 0.1), Stub(True, 0.7), Stub(False, 0.8), Stub(False, 0.9)], tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert {name: config[name] for name in fitted} == fitted
    assert fitted.keys() == {"score_temperature", "score_threshold", "score_margin"}
    # Two of each class overlap by one pair: the equal error rate's threshold parts them between 0.7 and 0.8, warmed.
    warmed = [1 / (1 + ((1 - p) / p) ** (1 / fitted["score_temperature"])) for p in (0.7, 0.8)]
    assert warmed[0] < config["score_threshold"] <= warmed[1]


def test_only_the_named_parts_learn(parts):
    model, _ = parts
    count = train_only(model, ["connector", "pvtm"])
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(name.startswith(PARTS["connector"] + PARTS["pvtm"]) for name in learning)
    assert count == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert train_only(model, []) == 0
    with pytest.raises(ValueError, match=r"train_parts names \['lora'\]"):
        train_only(model, ["lora"])


def test_every_parameter_belongs_to_one_part(parts):
    model, _ = parts
    for name, _ in model.named_parameters():
        assert sum(name.startswith(prefixes) for prefixes in PARTS.values()) == 1, name
