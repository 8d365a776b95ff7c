"""The tower's adaptation as a run: what it leaves, and that it goes on after a stop."""

import json

import numpy as np
import pytest
import torch
from PIL import Image


pytest.importorskip("accelerate", reason="needs the train extra")

from safetensors.torch import load_file
from transformers import MobileNetV2Config, MobileNetV2Model, TrainingArguments

from faceshield_hf.data.samples import read_samples
from faceshield_hf.training import fit_tower as stage
from faceshield_hf.training.provenance import LOG
from faceshield_hf.training.tiny import OUTPUT_STRIDE, tiny_image_processor
from faceshield_hf.training.tower import CONNECTOR_FILE, TowerData


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


def fit(images, out, steps, **changes):
    arguments = stage.TowerArguments(train_data=[str(images)], eval_data=[str(images)])
    told = {
        "output_dir": str(out),
        "max_steps": steps,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "save_steps": 1,
        "logging_steps": 1,
        "lr_scheduler_type": "constant",
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
    }
    stage.fit_tower(arguments, TrainingArguments(**told | changes))


def test_a_stopped_run_goes_on_bit_for_bit_and_leaves_tower_connector_accuracy_and_log(images, tmp_path):
    fit(images, tmp_path / "whole", 5)  # two steps an epoch
    fit(images, tmp_path / "stopped", 3)
    fit(images, tmp_path / "stopped", 5)
    logged = [entry["step"] for entry in json.loads((tmp_path / "stopped" / LOG).read_text()) if "loss" in entry]
    assert logged == [1, 2, 3, 4, 5]
    measured = json.loads((tmp_path / "whole" / "tower_eval.json").read_text())
    assert set(measured) == {"eval_type_acc", "eval_live_acc"}
    assert all(0 <= value <= 1 for value in measured.values())
    tower = MobileNetV2Model.from_pretrained(tmp_path / "whole", add_pooling_layer=False)
    assert tower.config.output_stride == OUTPUT_STRIDE
    for name in (CONNECTOR_FILE, "model.safetensors"):
        whole, stopped = load_file(tmp_path / "whole" / name), load_file(tmp_path / "stopped" / name)
        assert whole.keys() == stopped.keys()
        assert all(torch.equal(value, stopped[key]) for key, value in whole.items())


def test_a_finished_run_that_is_repeated_stays_as_it_was_and_another_is_refused(images, tmp_path):
    fit(images, tmp_path, 1)
    names = ("run.json", LOG, CONNECTOR_FILE, "model.safetensors")
    before = [(tmp_path / name).read_bytes() for name in names]
    assert json.loads(before[0])["rows_a_step"] == 2
    fit(images, tmp_path, 1)
    assert [(tmp_path / name).read_bytes() for name in names] == before
    with pytest.raises(ValueError, match=r"training\.learning_rate was 5e-05 and is now 0\.001"):
        fit(images, tmp_path, 2, learning_rate=1e-3)


def test_a_named_checkpoint_is_gone_on_from(images, tmp_path):
    fit(images, tmp_path / "one", 2)
    fit(images, tmp_path / "two", 2, resume_from_checkpoint=str(tmp_path / "one" / "checkpoint-1"))
    assert not (tmp_path / "two" / "checkpoint-1").exists()
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(value.equal(two[name]) for name, value in one.items())


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_no_tower(images, tmp_path):
    with pytest.raises(ValueError, match=r"the loss is nan at step \d+: lower learning_rate"):
        fit(images, tmp_path, 8, learning_rate=1e30, max_grad_norm=0.0, save_strategy="no")
    assert not (tmp_path / "model.safetensors").exists()


def test_the_optimizer_is_the_one_that_was_asked_for_with_the_towers_own_rate(tmp_path):
    model = stage.TowerWithHeads(stage.imagenet_mobilenet_v2(None, OUTPUT_STRIDE), [11, 15], 2, 16)

    def made(**changes):
        arguments = TrainingArguments(str(tmp_path), learning_rate=1e-3, weight_decay=0.02, use_cpu=True, **changes)
        return stage.TowerTrainer(model=model, args=arguments, tower_learning_rate=2e-4).create_optimizer()

    assert isinstance(made(optim="sgd"), torch.optim.SGD)
    optimizer = made(adam_beta1=0.5, adam_beta2=0.98)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.5, 0.98)}
    told = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(told) == len(learning)
    for name, parameter in learning.items():
        assert told[id(parameter)] == (2e-4 if name.startswith("tower.") else 1e-3, 0.02), name


def test_every_epoch_shows_an_image_anew_and_the_same_epoch_the_same(images):
    data = TowerData(read_samples(images), tiny_image_processor(), grid=2, seed=0)
    first, again = data[1]["pixel_values"], data[1]["pixel_values"]
    data.epoch = 1
    assert torch.equal(first, again)
    assert not torch.equal(first, data[1]["pixel_values"])
