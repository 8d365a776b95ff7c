"""The tower's adaptation as a run: what it leaves, and that it goes on after a stop."""

import json

import numpy as np
import pytest
import torch
from PIL import Image


pytest.importorskip("accelerate", reason="needs the train extra")

from safetensors.torch import load_file
from transformers import MobileNetV2Config, MobileNetV2Model, TrainingArguments

from faceshield_hf.training import fit_tower as stage
from faceshield_hf.training.provenance import LOG
from faceshield_hf.training.tiny import OUTPUT_STRIDE
from faceshield_hf.training.tower import CONNECTOR_FILE


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number, kind in enumerate(("Bonafide", "Print", "Tattoo", "Replay")):
        Image.fromarray(rng.integers(0, 255, (80, 64, 3), np.uint8)).save(folder / f"{number}.png")
        boxes = [] if kind == "Bonafide" else [[0.1, 0.1, 0.6, 0.7]]
        rows.append({"file_name": f"{number}.png", "attack_type": kind, "boxes": boxes, "subject_id": str(number)})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(autouse=True)
def _random_weights(monkeypatch):
    """In place of ImageNet's, which come in a package of their own."""

    def drawn(weights, stride):
        torch.manual_seed(0)
        config = MobileNetV2Config(tf_padding=False, output_stride=stride, depth_multiplier=0.35)
        return MobileNetV2Model(config, add_pooling_layer=False)

    assert OUTPUT_STRIDE == 32
    monkeypatch.setattr(stage, "imagenet_mobilenet_v2", drawn)


def fit(images, out, steps):
    arguments = stage.TowerArguments(train_data=[str(images)], eval_data=[str(images)])
    training = TrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        save_steps=1,
        logging_steps=1,
        lr_scheduler_type="constant",
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    stage.fit_tower(arguments, training)


def test_a_run_leaves_tower_connector_accuracy_and_log_and_goes_on_after_a_stop(images, tmp_path):
    fit(images, tmp_path / "whole", 3)
    fit(images, tmp_path / "stopped", 1)
    fit(images, tmp_path / "stopped", 3)
    logged = [entry["step"] for entry in json.loads((tmp_path / "stopped" / LOG).read_text()) if "loss" in entry]
    assert logged == [1, 2, 3]
    measured = json.loads((tmp_path / "whole" / "tower_eval.json").read_text())
    assert set(measured) == {"eval_type_acc", "eval_live_acc"}
    assert all(0 <= value <= 1 for value in measured.values())
    tower = MobileNetV2Model.from_pretrained(tmp_path / "whole", add_pooling_layer=False)
    assert tower.config.output_stride == OUTPUT_STRIDE
    for name in (CONNECTOR_FILE, "model.safetensors"):
        whole, stopped = load_file(tmp_path / "whole" / name), load_file(tmp_path / "stopped" / name)
        assert whole.keys() == stopped.keys()
        assert all(torch.isfinite(value).all() for value in stopped.values())
