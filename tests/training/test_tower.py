"""The tower's targets, augmentation and heads."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import MobileNetV2Config, MobileNetV2Model

from faceshield_hf.tasks_faceshield import AttackType, Box
from faceshield_hf.training.augment import augment
from faceshield_hf.training.mobilenet import imagenet_mobilenet_v2, renamed
from faceshield_hf.training.tower import TYPES, TowerWithHeads, cell_targets


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    return TowerWithHeads(
        MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35, tf_padding=False, output_stride=16))
    )


def test_a_box_covers_its_share_of_each_cell():
    share, target = cell_targets([Box(0.0, 0.0, 0.75, 0.5)], grid=2)
    assert share.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert target[:, 0, 0].tolist() == [0.0, 0.0, 0.75, 0.5]
    assert target[:, 1, 1].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_of_two_boxes_the_one_that_covers_most_is_the_cells():
    _, target = cell_targets([Box(0, 0, 1, 1), Box(0, 0, 0.5, 0.5)], grid=2)
    assert target[:, 0, 0].tolist() == [0, 0, 0.5, 0.5]
    assert target[:, 1, 1].tolist() == [0, 0, 1, 1]


def test_boxes_follow_the_picture_through_augmentation():
    picture = np.zeros((200, 160, 3), np.uint8)
    picture[60:120, 40:100] = 255
    box = Box.from_pixels(40, 60, 100, 120, 160, 200)
    for seed in range(30):
        out, (moved,) = augment(Image.fromarray(picture), [box], np.random.default_rng(seed))
        bright = np.asarray(out).astype(int).mean(2)
        rows, columns = np.nonzero(bright > (bright.max() + bright.min()) / 2)
        found = Box.from_pixels(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, *out.size)
        assert moved.iou(found) > 0.85, seed


def test_augmentation_is_decided_by_its_generator():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    first, second, other = (augment(image, (), np.random.default_rng(seed))[0].tobytes() for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_both_views_train_the_tower_and_batch_statistics_stay(heads):
    heads.train()
    before = {name: value.clone() for name, value in heads.tower.named_buffers()}
    cells, boxes = cell_targets([Box(0, 0, 0.5, 1)], grid=4)
    rgb, sav = torch.randn(2, 2, 3, 64, 64).unbind(0)
    labels = torch.tensor([0, 3])
    out = heads(rgb, sav, labels, cells.repeat(2, 1, 1), boxes.repeat(2, 1, 1, 1))
    assert out["types"].shape == (2, len(TYPES))
    assert out["cells"].shape == (4, 4, 4)
    out["loss"].backward()
    assert heads.tower.layer[3].expand_1x1.convolution.weight.grad.abs().sum() > 0
    assert heads.tower.layer[2].expand_1x1.convolution.weight.grad is None
    for name, value in heads.tower.named_buffers():
        torch.testing.assert_close(value, before[name])


def test_types_are_all_attack_types_bona_fide_first():
    assert TYPES[0] is AttackType.BONAFIDE
    assert len(TYPES) == 12


def test_torchvisions_names_cover_every_parameter_of_the_tower():
    model = MobileNetV2Model(MobileNetV2Config(tf_padding=False), add_pooling_layer=False)
    names = ["features.0.0.weight", "features.1.conv.0.0.weight", "features.1.conv.1.weight", "features.1.conv.2.bias"]
    names += ["features.9.conv.0.1.running_var", "features.9.conv.1.0.weight", "features.9.conv.2.weight"]
    names += ["features.9.conv.3.weight", "features.18.1.bias"]
    assert {renamed(name) for name in names} <= set(model.state_dict())


def test_a_file_that_is_not_torchvisions_is_refused(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="expected b0353104"):
        imagenet_mobilenet_v2(tmp_path / "w.pth")
    with pytest.raises(ValueError, match="no weights at"):
        imagenet_mobilenet_v2(tmp_path / "missing.pth")
