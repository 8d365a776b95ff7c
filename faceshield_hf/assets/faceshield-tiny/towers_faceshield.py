"""Reads patch tokens out of any vision tower.

Transformers differ in what stands before the patch tokens (class, distillation, register tokens) and convolutional
towers give a feature map instead: here both become `(images, tokens, channels)`. It knows the outputs of
`AutoModel` towers, not the connectors that read the tokens.

Example:
    >>> import torch
    >>> from faceshield_hf.towers_faceshield import patch_tokens
    >>> patch_tokens(torch.zeros(1, 5, 8), grid=(2, 2)).shape
    torch.Size([1, 4, 8])
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel


@dataclass
class TowerFeatures:
    """What the connectors read.

    Attributes:
        tokens (`torch.Tensor` of shape `(num_pictures, num_tokens, channels)`):
            Patch tokens of the chosen layers, row by row over the grid.
        pooled (`list[torch.Tensor]`, each of shape `(num_pictures, layer_channels)`):
            One vector for each layer: its class token if the tower has one, else the mean of its patch tokens. Empty
            unless asked for.
        grid (`tuple[int, int]`):
            Rows and columns of `tokens`.
    """

    tokens: torch.Tensor
    pooled: list[torch.Tensor]
    grid: tuple[int, int]


def read_tower(
    outputs: Any,
    vision_config: PreTrainedConfig,
    picture_size: tuple[int, int],
    layers: list[int],
    with_pooled: bool = False,
) -> TowerFeatures:
    """Takes the patch tokens of some layers, joined on channels, from a tower's output.

    The feature maps of a convolutional tower may differ in size: the coarsest one's cells are the tokens, and the
    cells of a finer map that lie in one of them are folded into its channels.

    Args:
        outputs (`ModelOutput`):
            The tower's output, with the hidden states of `layers` (of all layers for `with_pooled`).
        vision_config (`PreTrainedConfig`):
            The tower's configuration.
        picture_size (`tuple[int, int]`):
            Height and width of the pictures in pixels.
        layers (`list[int]`):
            Indices into `hidden_states`; -1 is the tower's `last_hidden_state`, after its final normalisation.
        with_pooled (`bool`, *optional*, defaults to `False`):
            Whether to pool every layer as well.

    Returns:
        [`TowerFeatures`]: Tokens and pooled vectors.

    Raises:
        ValueError: If the layers' maps don't divide into the coarsest one's cells or the tower's tokens are no patch
            tokens.
    """
    if outputs.last_hidden_state.dim() == 4:
        return _read_maps(outputs, layers, with_pooled)
    grid = patch_grid(vision_config, picture_size)
    tokens = torch.cat([patch_tokens(_layer_output(outputs, layer), grid) for layer in layers], dim=-1)
    pooled = [_pool_tokens(state, grid) for state in outputs.hidden_states[1:]] if with_pooled else []
    return TowerFeatures(tokens, pooled, grid)


def patch_tokens(hidden_state: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Drops class and register tokens, which all towers put before the patch tokens.

    Args:
        hidden_state (`torch.Tensor` of shape `(num_pictures, sequence, channels)`):
            A tower's hidden state.
        grid (`tuple[int, int]`):
            Rows and columns of patches.

    Returns:
        `torch.Tensor` of shape `(num_pictures, rows * columns, channels)`: The patch tokens.

    Raises:
        ValueError: If the sequence is shorter than the grid.
    """
    extra = hidden_state.shape[1] - grid[0] * grid[1]
    if extra < 0:
        raise ValueError(
            f"the vision tower gives {hidden_state.shape[1]} tokens for {grid[0]}x{grid[1]} patches: towers that "
            "merge patches are not supported; use one with a token for each patch (SigLIP, CLIP, ViT, DINOv2) or one "
            "that gives a feature map (MobileNetV2, ResNet, ConvNext)."
        )
    return hidden_state[:, extra:]


def patch_grid(vision_config: PreTrainedConfig, picture_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of patches of a picture.

    Args:
        vision_config (`PreTrainedConfig`):
            Configuration of a tower with patch tokens.
        picture_size (`tuple[int, int]`):
            Height and width of the picture in pixels.

    Returns:
        `tuple[int, int]`: Rows and columns.

    Raises:
        ValueError: If the configuration has no patch size.
    """
    patch_size = vars(vision_config).get("patch_size")
    if patch_size is None:
        raise ValueError(
            f'the vision tower "{vision_config.model_type}" gives tokens but its configuration has no patch_size: use '
            "a tower with patch tokens (SigLIP, CLIP, ViT, DINOv2) or a feature map (MobileNetV2, ResNet, ConvNext)."
        )
    height, width = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    return picture_size[0] // height, picture_size[1] // width


def fold_neighbours(tokens: torch.Tensor, grid: tuple[int, int], factor: int) -> torch.Tensor:
    """Folds `factor` x `factor` neighbouring tokens into the channels of one.

    Args:
        tokens (`torch.Tensor` of shape `(num_pictures, rows * columns, channels)`):
            Patch tokens, row by row.
        grid (`tuple[int, int]`):
            Rows and columns.
        factor (`int`):
            How many neighbours to fold on each side; 1 gives `tokens` back.

    Returns:
        `torch.Tensor` of shape `(num_pictures, rows * columns / factor**2, channels * factor**2)`: The tokens.

    Raises:
        ValueError: If rows or columns do not divide by `factor`.
    """
    if factor == 1:
        return tokens
    rows, columns = grid
    if rows % factor or columns % factor:
        raise ValueError(
            f"projector_downsample is {factor}, which does not divide the {rows}x{columns} grid of visual tokens: "
            "choose another picture size or projector_downsample."
        )
    blocks = tokens.unflatten(1, (rows // factor, factor, columns // factor, factor))
    return blocks.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)


def tower_widths(tower: PreTrainedModel, layers: list[int]) -> tuple[int, list[int]]:
    """Finds the channels of the joined layers and of every layer.

    Args:
        tower (`PreTrainedModel`):
            The vision tower.
        layers (`list[int]`):
            The layers that are joined.

    Returns:
        `tuple[int, list[int]]`: Channels of the joined tokens, and of each pooled layer.
    """
    config = tower.config.to_dict()
    if "hidden_size" in config and "num_hidden_layers" in config:
        return config["hidden_size"] * len(layers), [config["hidden_size"]] * config["num_hidden_layers"]
    # Convolutional towers do not name their widths alike: one small picture tells them. Eval mode keeps the batch
    # statistics untouched; during from_pretrained the tower is on the meta device and this costs nothing.
    was_training = tower.training
    tower.eval()
    with torch.no_grad():
        outputs = tower(
            torch.zeros(1, 3, 64, 64, device=tower.device, dtype=tower.dtype),
            output_hidden_states=True,
            return_dict=True,
        )
    tower.train(was_training)
    return _read_maps(outputs, layers, False).tokens.shape[-1], [state.shape[1] for state in outputs.hidden_states]


def part_up_to(tower: PreTrainedModel, layers: list[int]) -> tuple[PreTrainedModel, list[int]]:
    """The part of a tower that has to run for some of its hidden states.

    Only the modules around the layers are copied, a few attributes each: the layers and their weights are the tower's
    own, which stays as it is.

    Args:
        tower (`PreTrainedModel`):
            The vision tower.
        layers (`list[int]`):
            The layers that are read, as [`read_tower`] takes them.

    Returns:
        `tuple[PreTrainedModel, list[int]]`: A tower without what comes after the deepest of the layers, and the
        layers' indices in it; both unchanged if its output itself is read or it is of an unknown make.
    """
    if -1 in layers:
        return tower, layers
    if tower.config.model_type in _AFTER_LAYERS:
        return _with(tower, _AFTER_LAYERS[tower.config.model_type], nn.Identity()), layers
    count = tower.config.to_dict().get("num_hidden_layers")
    lists = [(name, part) for name, part in tower.named_modules() if isinstance(part, nn.ModuleList)]
    whole = [(name, part) for name, part in lists if len(part) == count]
    if len(whole) != 1:
        return tower, layers
    name, part = whole[0]
    # Counted from the front, as the part has fewer; there is one hidden state before the first layer.
    indices = [layer % (len(part) + 1) for layer in layers]
    return _with(tower, name, part[: max(1, *indices)]), indices  # the first layer also shows its input


def fold_batch_norms(tower: nn.Module) -> int:
    """Folds every batch normalisation that directly follows a convolution into it, for inference alone.

    In eval mode it is a linear map with constants, so that the convolution can do it on the way (up to rounding). A
    ReLU that comes next then changes the convolution's own output, which nobody else reads, instead of a copy. The
    tower cannot be trained or saved as the original any more.

    Args:
        tower (`nn.Module`):
            The vision tower, in eval mode; changed in place.

    Returns:
        `int`: How many were folded; 0 for a transformer.
    """
    folded = 0
    for module in list(tower.modules()):
        parts = [*module.named_children(), ("", None)]  # something stands behind every normalisation
        for (name, part), (after, norm), (_, activation) in zip(parts, parts[1:], parts[2:], strict=False):
            if isinstance(part, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(part, norm))
                setattr(module, after, nn.Identity())
                if isinstance(activation, (nn.ReLU, nn.ReLU6)):
                    activation.inplace = True
                folded += 1
    if folded:
        vars(tower)["is_folded"] = True
    return folded


# Convolutional towers whose last step widens the map, which only their own output shows.
_AFTER_LAYERS = {"mobilenet_v2": "conv_1x1"}


def _with(module: Any, name: str, replacement: nn.Module) -> Any:
    """A module with one of its parts replaced; everything else is shared."""
    first, _, rest = name.partition(".")
    shell = copy.copy(module)
    inner = _with(vars(module)["_modules"][first], rest, replacement) if rest else replacement
    shell.__dict__["_modules"] = {**vars(module)["_modules"], first: inner}
    return shell


def build_prompt_tower(config: PreTrainedConfig, tower_size: int) -> PreTrainedModel:
    """Builds the frozen text tower that reads the question.

    Args:
        config (`PreTrainedConfig`):
            A text tower's configuration (SigLIP, SigLIP 2, CLIP).
        tower_size (`int`):
            Channels of the vision tokens that its pooled output is compared with.

    Returns:
        `PreTrainedModel`: The tower, without gradients.

    Raises:
        ValueError: If the two widths differ.
    """
    values = config.to_dict()
    width = values.get("projection_size") or values["hidden_size"]
    if width != tower_size:
        raise ValueError(
            f'the prompt tower "{config.model_type}" gives {width} channels, but the tokens of the vision tower have '
            f'{tower_size}: take both halves of one SigLIP checkpoint, or pvtm_prompt_source="language_model".'
        )
    # Few models have one, and the import takes a while. AutoModel knows SigLIP's two towers together only.
    from transformers import Siglip2TextModel, SiglipTextModel

    halves = {"siglip_text_model": SiglipTextModel, "siglip2_text_model": Siglip2TextModel}
    build = halves.get(config.model_type, AutoModel.from_config)
    return build(config).requires_grad_(False)


def _read_maps(outputs: Any, layers: list[int], with_pooled: bool) -> TowerFeatures:
    """Joins the maps on the coarsest grid; what a finer map has inside one of its cells goes to the channels."""
    maps = [_layer_output(outputs, layer) for layer in layers]
    sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
    grid = min(sizes)
    factors = [rows // grid[0] for rows, _ in sizes]
    if any((grid[0] * k, grid[1] * k) != size for k, size in zip(factors, sizes, strict=True)):
        raise ValueError(
            f"vision_feature_layer={layers} joins feature maps of the sizes {sizes}, which are not whole multiples of "
            "the smallest: name layers of one size, or choose another picture size."
        )
    tokens = [
        fold_neighbours(m.flatten(2).transpose(1, 2), size, k) for m, size, k in zip(maps, sizes, factors, strict=True)
    ]
    pooled = [state.mean(dim=(2, 3)) for state in outputs.hidden_states] if with_pooled else []
    return TowerFeatures(torch.cat(tokens, dim=-1), pooled, grid)


def _layer_output(outputs: Any, layer: int) -> torch.Tensor:
    return outputs.last_hidden_state if layer == -1 else outputs.hidden_states[layer]


def _pool_tokens(hidden_state: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    patches = patch_tokens(hidden_state, grid)
    return hidden_state[:, 0] if hidden_state.shape[1] > patches.shape[1] else patches.mean(dim=1)
