"""The tower's targets, augmentation and heads."""

import numpy as np
import pytest
import torch
from data.build_parts import turned
from PIL import Image
from safetensors.torch import load_file
from transformers import MobileNetV2Config, MobileNetV2Model

from faceshield_hf.connectors_faceshield import MultiModalProjector
from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import AttackType, Box
from faceshield_hf.training.augment import augment
from faceshield_hf.training.mobilenet import imagenet_mobilenet_v2, renamed
from faceshield_hf.training.tower import CONNECTOR_FILE, TYPES, TowerData, TowerWithHeads, box_loss, cell_targets


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    tower = MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35, tf_padding=False))
    return TowerWithHeads(tower, layers=[11, 15], grid=2, hidden_size=16)


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


class Views:
    """Stands for the image processor: notes what it is given."""

    def __call__(self, image, return_tensors):
        self.seen = image
        return {"pixel_values": torch.zeros(1, 3, 8, 8), "sav_values": torch.zeros(1, 3, 8, 8)}


def test_the_tower_sees_images_upright_like_their_boxes(tmp_path):
    (tmp_path / "a.jpg").write_bytes(turned())
    sample = Sample(tmp_path / "a.jpg", AttackType.PRINT, "s", (Box(0.5, 0.0, 1.0, 1.0),))
    views = Views()
    row = TowerData([sample], views, grid=2)[0]
    assert views.seen.size == (48, 64)
    columns = np.asarray(views.seen).mean((0, 2))
    assert columns[:20].min() > 200 > 50 > columns[28:].max()  # the dark half is where the box is
    assert row["cell_labels"].tolist() == [0, 1, 0, 1]


def labelled_views(boxes, grid=2):
    cells, targets = cell_targets(boxes, grid)
    rgb, sav = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).unbind(0)
    return rgb, sav, torch.tensor([0, 3]), cells.flatten().repeat(2, 1), targets.flatten(1).T.repeat(2, 1, 1)


def test_both_views_train_tower_and_connector_and_batch_statistics_stay(heads):
    heads.train()
    before = {name: value.clone() for name, value in heads.tower.named_buffers()}
    out = heads(*labelled_views([Box(0, 0, 0.5, 1)]))
    assert out["types"].shape == (2, len(TYPES))
    assert out["cells"].shape == (2, 2, 4)
    assert out["boxes"].shape == (2, 2, 4, 4)
    out["loss"].backward()
    assert heads.tower.layer[3].expand_1x1.convolution.weight.grad.abs().sum() > 0
    assert heads.tower.layer[2].expand_1x1.convolution.weight.grad is None
    assert heads.connector.positions.row_embedding.weight.grad.abs().min() > 0
    assert heads.connector.positions.view_embedding.weight.grad.abs().min() > 0
    for name, value in heads.tower.named_buffers():
        torch.testing.assert_close(value, before[name])


def test_the_saved_connector_fits_the_model_that_is_built_around_the_tower(heads, tmp_path):
    heads.save_parts(tmp_path)
    saved = load_file(tmp_path / CONNECTOR_FILE)
    again = MultiModalProjector(heads.connector.linear_1.in_features, 16, grid=(2, 2), num_views=2)
    again.load_state_dict(saved)
    tokens = torch.randn(1, 8, heads.connector.linear_1.in_features)
    assert torch.equal(again(tokens), heads.connector(tokens))


def test_the_box_loss_is_zero_for_the_right_boxes_and_counts_covered_tokens_only():
    targets = torch.tensor([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 0.0, 0.0]]])
    covered = torch.tensor([[0.25, 0.0]])
    boxes = torch.tensor([[[[0.1, 0.2, 0.5, 0.6], [0.9, 0.9, 0.1, 0.1]]]])
    assert box_loss(boxes, targets, covered).item() == pytest.approx(0, abs=1e-6)


def test_the_box_loss_is_smooth_l1_and_generalized_iou():
    # Half of the width: intersection 0.08, union 0.16, hull 0.16: GIoU 0.5; one side off by 0.2: L1 0.2 - 0.01.
    targets = torch.tensor([[[0.1, 0.2, 0.5, 0.6]]])
    boxes = torch.tensor([[[[0.1, 0.2, 0.3, 0.6]]]])
    assert box_loss(boxes, targets, torch.ones(1, 1)).item() == pytest.approx(2 * 0.19 + 0.5, rel=1e-5)


def test_without_an_attack_there_is_no_box_loss():
    assert box_loss(torch.rand(2, 2, 4, 4), torch.zeros(2, 4, 4), torch.zeros(2, 4)).item() == 0


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


def test_a_box_smaller_than_a_cell_still_has_a_cell_of_its_own():
    share, _ = cell_targets([Box(0.1, 0.1, 0.2, 0.2)], grid=2)
    assert share.tolist() == [[1.0, 0.0], [0.0, 0.0]]
