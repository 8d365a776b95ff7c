"""Patch tokens of every kind of tower, checked against the towers' own outputs."""

import pytest
import torch
from tiny import MOBILENET, VISION, tiny_model
from transformers import (
    AutoModel,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    MobileNetV2Config,
    ResNetConfig,
    SiglipVisionConfig,
    SwinConfig,
    ViTConfig,
)
from transformers.modeling_outputs import BaseModelOutput

from faceshield_hf.towers_faceshield import (
    fold_batch_norms,
    fold_neighbours,
    part_up_to,
    patch_grid,
    patch_tokens,
    read_tower,
    tower_widths,
)


VIT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
DINO = {key: value for key, value in VIT.items() if key != "intermediate_size"}
SEQUENCE_TOWERS = [
    (SiglipVisionConfig(**VIT, vision_use_head=False), 0),
    (CLIPVisionConfig(**VIT), 1),
    (ViTConfig(**VIT), 1),
    (Dinov2Config(**DINO), 1),
    (Dinov2WithRegistersConfig(**DINO, num_register_tokens=3), 4),
]


def run(config, size=28, seed=0):
    torch.manual_seed(seed)
    tower = AutoModel.from_config(config).eval()
    with torch.no_grad():
        return tower, tower(torch.randn(2, 3, size, size), output_hidden_states=True)


@pytest.mark.parametrize(("config", "extra"), SEQUENCE_TOWERS, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("layer", [-1, -2, 0])
def test_class_and_register_tokens_are_dropped(config, extra, layer):
    tower, outputs = run(config)
    features = read_tower(outputs, config, (28, 28), [layer], with_pooled=True)
    state = outputs.last_hidden_state if layer == -1 else outputs.hidden_states[layer]
    assert state.shape[1] == 4 + extra
    assert torch.equal(features.tokens, state[:, extra:])
    assert features.grid == (2, 2)
    pooled = outputs.hidden_states[2][:, 0] if extra else outputs.hidden_states[2].mean(1)
    assert len(features.pooled) == 2
    assert torch.equal(features.pooled[-1], pooled)
    assert tower_widths(tower, [layer]) == (16, [16, 16])


def test_several_layers_are_joined_on_channels_in_the_order_given():
    config = ViTConfig(**VIT)
    tower, outputs = run(config)
    tokens = read_tower(outputs, config, (28, 28), [-1, 1]).tokens
    assert torch.equal(tokens, torch.cat([outputs.last_hidden_state, outputs.hidden_states[1]], dim=-1)[:, 1:])
    assert tower_widths(tower, [-1, 1])[0] == 32


def test_minus_one_is_the_towers_output_and_the_last_index_the_state_before_its_final_norm():
    config = SiglipVisionConfig(**VIT, vision_use_head=False)
    tower, outputs = run(config)
    before, after = (read_tower(outputs, config, (28, 28), [layer]).tokens for layer in (2, -1))
    assert not torch.equal(before, after)
    assert torch.equal(tower.post_layernorm(before), after)


def test_the_last_layer_of_a_feature_map_tower_is_its_last_hidden_state_row_by_row():
    config = MobileNetV2Config(tf_padding=False, depth_multiplier=0.35)
    tower, outputs = run(config, size=96)
    features = read_tower(outputs, config, (96, 96), [-1], with_pooled=True)
    assert outputs.last_hidden_state.shape == (2, 1280, 3, 3)
    assert features.tokens.shape == (2, 9, 1280)
    assert torch.equal(features.tokens[:, 5], outputs.last_hidden_state[:, :, 1, 2])
    assert features.grid == (3, 3)
    width, layers = tower_widths(tower, [-1])
    assert width == 1280
    assert layers == [vector.shape[1] for vector in features.pooled]
    assert torch.equal(features.pooled[0], outputs.hidden_states[0].mean(dim=(2, 3)))


def test_other_layers_of_a_feature_map_tower_go_by_their_index():
    config = MobileNetV2Config(tf_padding=False, depth_multiplier=0.35)
    tower, outputs = run(config, size=64)
    tokens = read_tower(outputs, config, (64, 64), [15, -1]).tokens
    assert tokens.shape[2] == outputs.hidden_states[15].shape[1] + 1280 == tower_widths(tower, [15, -1])[0]


def test_measuring_a_tower_moves_neither_its_mode_nor_its_batch_statistics():
    tower = AutoModel.from_config(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).train()
    before = {name: buffer.clone() for name, buffer in tower.named_buffers()}
    assert tower_widths(tower, [-1])[0] == 16
    assert tower.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in tower.named_buffers())


def test_cells_of_a_finer_map_go_to_the_channels_of_the_coarse_cell_that_they_lie_in():
    config = MobileNetV2Config(tf_padding=False, depth_multiplier=0.35)
    tower, outputs = run(config, size=64)
    features = read_tower(outputs, config, (64, 64), [2, 15])
    fine, coarse = outputs.hidden_states[2], outputs.hidden_states[15]
    assert (fine.shape[-2:], coarse.shape[-2:], features.grid) == ((8, 8), (2, 2), (2, 2))
    channels = 16 * fine.shape[1]
    assert features.tokens.shape == (2, 4, channels + coarse.shape[1])
    assert tower_widths(tower, [2, 15])[0] == features.tokens.shape[2]
    inside = fine[:, :, 4:8, 0:4].permute(0, 2, 3, 1).flatten(1)  # token 2: second row, first column
    assert torch.equal(features.tokens[:, 2, :channels], inside)
    assert torch.equal(features.tokens[:, 2, channels:], coarse[:, :, 1, 0])


def test_maps_that_are_no_whole_multiples_of_the_coarsest_can_not_be_joined():
    config = MobileNetV2Config(tf_padding=False, depth_multiplier=0.35)
    _, outputs = run(config, size=72)
    with pytest.raises(ValueError, match=r"sizes \[\(9, 9\), \(5, 5\)\], which are not whole multiples"):
        read_tower(outputs, config, (72, 72), [2, 5])


def test_a_tower_that_merges_patches_is_refused_with_examples_of_what_works():
    config = SwinConfig(image_size=28, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=7)
    with pytest.raises(ValueError, match="gives 49 tokens for 14x14 patches"):
        patch_tokens(torch.zeros(1, 49, 16), patch_grid(config, (28, 28)))


def test_a_tower_with_tokens_but_no_patch_size_is_refused():
    outputs = BaseModelOutput(last_hidden_state=torch.zeros(1, 4, 8), hidden_states=(torch.zeros(1, 4, 8),))
    with pytest.raises(ValueError, match="has no patch_size"):
        read_tower(outputs, MobileNetV2Config(), (28, 28), [-1])


def test_patches_need_not_be_square_nor_fill_the_picture():
    assert patch_grid(ViTConfig(patch_size=(7, 14)), (30, 30)) == (4, 2)


def test_folding_puts_two_by_two_neighbours_into_channels():
    # 0  1  2  3
    # 4  5  6  7   two rows, four columns, one channel
    tokens = torch.arange(8.0).view(1, 8, 1)
    assert fold_neighbours(tokens, grid=(2, 4), factor=2).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    assert fold_neighbours(tokens, grid=(2, 4), factor=1) is tokens


def test_folding_keeps_every_value_of_larger_grids():
    tokens = torch.randn(3, 36, 5)
    folded = fold_neighbours(tokens, grid=(6, 6), factor=3)
    assert folded.shape == (3, 4, 45)
    assert torch.equal(folded[:, 3, :5], tokens[:, 3 * 6 + 3])
    assert torch.equal(folded.flatten(1).sort().values, tokens.flatten(1).sort().values)


def test_a_grid_that_does_not_divide_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match="projector_downsample is 2, which does not divide the 3x4 grid"):
        fold_neighbours(torch.zeros(1, 12, 1), grid=(3, 4), factor=2)


@pytest.mark.parametrize(
    ("vision", "layers"),
    [
        (VISION, -2),
        (VISION, 0),
        (VISION, 1),
        (VISION, -1),
        (VISION, [0, 1]),
        (MOBILENET, 15),
        (MOBILENET, -1),
        (MOBILENET, [13, 14]),
        (MOBILENET, [4, 11, 15]),
    ],
)
def test_layers_that_nothing_reads_do_not_change_what_is_read(vision, layers):
    model = tiny_model(vision_config=vision, vision_feature_layer=layers)
    pictures = torch.randn(2, 2, 3, vision["image_size"], vision["image_size"])
    names = list(model.state_dict())
    with torch.no_grad():
        whole = model.model.get_image_features(*pictures).pooler_output
        part = model.model.encode_images(*pictures).pooler_output
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(part, whole, strict=True))
    assert list(model.state_dict()) == names


@pytest.mark.parametrize(("vision", "layer", "last"), [(VISION, -2, "encoder.layers.1"), (MOBILENET, 15, "conv_1x1")])
def test_layers_that_nothing_reads_do_not_run(vision, layer, last):
    tower = tiny_model(vision_config=vision, vision_feature_layer=layer).model.vision_tower
    ran = []
    tower.get_submodule(last).register_forward_hook(lambda *_: ran.append(last))
    pictures = torch.zeros(1, 3, vision["image_size"], vision["image_size"])
    part, (index,) = part_up_to(tower, [layer])
    with torch.no_grad():
        seen = part(pictures, output_hidden_states=True).hidden_states[index]
        assert not ran
        assert torch.equal(seen, tower(pictures, output_hidden_states=True).hidden_states[layer])
    assert ran


def test_a_part_shares_the_towers_weights_and_leaves_it_whole():
    tower = tiny_model().model.vision_tower
    part, _ = part_up_to(tower, [-2])
    assert len(part.encoder.layers) == 1
    assert len(tower.encoder.layers) == 2
    assert part.encoder.layers[0] is tower.encoder.layers[0]
    assert part_up_to(tower, [-1])[0] is tower


def test_folded_batch_norms_give_the_same_features():
    tower = tiny_model(vision_config=MOBILENET, vision_feature_layer=15).model.vision_tower.eval()
    generator = torch.Generator().manual_seed(0)
    for module in tower.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as if trained
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    pictures = torch.randn(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        before = tower(pictures).last_hidden_state
        assert fold_batch_norms(tower) == 52
        torch.testing.assert_close(tower(pictures).last_hidden_state, before, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in tower.modules())
    activations = [module for module in tower.modules() if isinstance(module, torch.nn.ReLU6)]
    assert activations and all(activation.inplace for activation in activations)
    assert fold_batch_norms(tiny_model().model.vision_tower) == 0


def test_a_model_with_folded_batch_norms_is_not_saved(tmp_path):
    model = tiny_model(vision_config=MOBILENET, vision_feature_layer=15)
    fold_batch_norms(model.model.vision_tower.eval())
    assert fold_batch_norms(model.model.vision_tower) == 0
    with pytest.raises(ValueError, match="are folded into its convolutions"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())
