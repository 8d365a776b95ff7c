"""Fit a small vision tower and its connector to spoof traces before any language is learnt.

A tower pretrained on photographs has never seen a local binary pattern or a HOG map, and a frozen one makes the
spoof-aware view useless. A small language model, on the other hand, learns to read what stands plainly in its visual
tokens, and little else. So tower and connector learn together under dense supervision of the tokens themselves: the
attack type of the whole picture, which tokens an attack covers, and in every covered token the box that covers it. The
heads are thrown away afterwards. It knows nothing of questions.

Example:
    >>> import torch
    >>> from transformers import MobileNetV2Config, MobileNetV2Model
    >>> from faceshield_hf.training.tower import TowerWithHeads
    >>> tower = MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35))
    >>> heads = TowerWithHeads(tower, layers=[11, 15], grid=2, hidden_size=16)
    >>> sorted(heads(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)))
    ['boxes', 'cells', 'types']
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import MobileNetV2Model

from faceshield_hf.connectors_faceshield import MultiModalProjector
from faceshield_hf.data.samples import Sample
from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.tasks_faceshield import AttackType, Box
from faceshield_hf.towers_faceshield import read_tower, tower_widths
from faceshield_hf.training.augment import augment


TYPES = tuple(AttackType)
CONNECTOR_FILE = "connector.safetensors"
_VIEWS = 2
_SMOOTHING = 0.05
_CORNER_GAIN = 0.1
_CELL_WEIGHT = 4.0  # of a covered token against a bare one: a small attack covers one or two of 64


class TowerWithHeads(nn.Module):
    """A convolutional tower and its connector under heads that read every visual token of both views.

    Args:
        tower (`MobileNetV2Model`): gives feature maps. Its batch statistics stay as pretrained (the two views would
            spoil each other's), the affine parameters are trained.
        layers (`list[int]`): the blocks that are read, as the model's `vision_feature_layer`.
        grid (`int`): rows and columns of one view's tokens.
        hidden_size (`int`): width of the tokens, the language model's.
        frozen_blocks (`int`, *optional*, defaults to 3): blocks after the stem that stay as pretrained with it; they
            see edges and colours, and their large maps cost most of a step.
    """

    def __init__(
        self, tower: MobileNetV2Model, layers: list[int], grid: int, hidden_size: int, frozen_blocks: int = 3
    ) -> None:
        super().__init__()
        self.tower = tower
        self.layers = layers
        # The last 1x1 convolution is not read: data parallel training must not wait for its gradient.
        for part in (tower.conv_stem, *tower.layer[:frozen_blocks], tower.conv_1x1):
            part.requires_grad_(False)
        self.connector = MultiModalProjector(
            tower_widths(tower, layers)[0], hidden_size, grid=(grid, grid), num_views=_VIEWS
        )
        self.connector.apply(_start_embeddings)
        # As the language model's first layer normalises what it reads.
        self.norm = nn.RMSNorm(hidden_size, elementwise_affine=False)
        self.cell_head = nn.Linear(hidden_size, 1)
        # Corners are read along fixed directions with a small gain, so a token must carry them loudly: a learned head
        # would turn its gain up instead, and the language model would have to learn digits from a whisper.
        generator = torch.Generator().manual_seed(0)
        directions = torch.linalg.qr(torch.randn(hidden_size, 4, generator=generator))[0]
        self.register_buffer("corner_directions", directions)
        self.type_head = nn.Linear(2 * _VIEWS * hidden_size, len(TYPES))
        self.view_type_head = nn.Linear(2 * hidden_size, len(TYPES))

    def save_parts(self, folder: Path) -> None:
        """Save tower and connector without the heads, in the plain memory layout that safetensors wants."""
        self.use_memory_format(torch.contiguous_format)
        self.tower.save_pretrained(folder)
        save_file(self.connector.state_dict(), folder / CONNECTOR_FILE)

    def use_memory_format(self, memory_format: torch.memory_format) -> None:
        """Lay all weights out as asked; convolutions on CPUs are about twice as fast with channels last."""
        self.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's own stubs leave this form out

    def train(self, mode: bool = True) -> "TowerWithHeads":
        """Train everything but the batch statistics."""
        super().train(mode)
        for module in self.tower.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(
        self,
        pixel_values: torch.Tensor,
        sav_values: torch.Tensor,
        type_labels: torch.Tensor | None = None,
        cell_labels: torch.Tensor | None = None,
        box_labels: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Predict types, covered tokens and boxes.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(batch, 3, height, width)`): RGB view.
            sav_values (`torch.FloatTensor` of shape `(batch, 3, height, width)`): spoof-aware view.
            type_labels (`torch.LongTensor` of shape `(batch,)`, *optional*): index into `TYPES`.
            cell_labels (`torch.FloatTensor` of shape `(batch, grid * grid)`, *optional*): covered share, 0..1.
            box_labels (`torch.FloatTensor` of shape `(batch, grid * grid, 4)`, *optional*): per token the box that
                covers it, 0..1 of the image.

        Returns:
            `dict`: `types` (logits `(batch, 12)` of both views together), `cells` (logits
                `(batch, 2, grid * grid)`), `boxes` (`(batch, 2, grid * grid, 4)`, about 0..1), and with labels `loss`.
        """
        views = torch.cat([pixel_values, sav_values]).contiguous(memory_format=torch.channels_last)
        outputs = self.tower(views, output_hidden_states=True)
        tokens = read_tower(outputs, self.tower.config, (views.shape[-2], views.shape[-1]), self.layers).tokens
        tokens = self.norm(self.connector(torch.cat(tokens.chunk(_VIEWS), 1))).float().unflatten(1, (_VIEWS, -1))
        pooled = torch.cat([tokens.mean(2), tokens.amax(2)], -1)
        out = {
            "types": self.type_head(pooled.flatten(1)),
            "cells": self.cell_head(tokens)[..., 0],
            "boxes": 0.5 + _CORNER_GAIN * (tokens @ self.corner_directions),
        }
        if type_labels is not None and cell_labels is not None and box_labels is not None:
            per_view = F.cross_entropy(
                self.view_type_head(pooled).flatten(0, 1),
                type_labels.repeat_interleave(_VIEWS),
                label_smoothing=_SMOOTHING,
            )
            joint = F.cross_entropy(out["types"], type_labels, label_smoothing=_SMOOTHING)
            found = F.binary_cross_entropy_with_logits(
                out["cells"],
                cell_labels[:, None].expand_as(out["cells"]),
                pos_weight=torch.tensor(_CELL_WEIGHT, device=cell_labels.device),
            )
            place = box_loss(out["boxes"].float(), box_labels, cell_labels)
            out = {"loss": joint + 0.5 * per_view + found + place} | out
        return out


def box_loss(boxes: torch.Tensor, targets: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """How far every covered token's box is from the one that covers it: smooth L1 and generalized IoU.

    Args:
        boxes (`torch.FloatTensor` of shape `(batch, views, tokens, 4)`): x1, y1, x2, y2 as predicted.
        targets (`torch.FloatTensor` of shape `(batch, tokens, 4)`): the boxes that cover the tokens.
        covered (`torch.FloatTensor` of shape `(batch, tokens)`): shares, 0..1. An image's tokens weigh by them, and
            every image with an attack weighs the same, however small the attack.

    Returns:
        `torch.FloatTensor` of shape `()`: mean over the images with an attack; 0 without any.
    """
    targets, weights = targets[:, None].expand_as(boxes), covered[:, None].expand(boxes.shape[:3])
    weights = weights / weights.sum((1, 2), keepdim=True).clamp(min=1e-6)
    images = (covered.sum(1) > 0).sum().clamp(min=1)
    distance = F.smooth_l1_loss(boxes, targets, beta=0.02, reduction="none").sum(-1)
    return ((2 * distance + 1 - _generalized_iou(boxes, targets)) * weights).sum() / images


class TowerData(Dataset):
    """Labelled samples as tensors for `TowerWithHeads`.

    Args:
        samples (`Sequence[Sample]`): labelled images.
        image_processor (`FaceShieldImageProcessor`): makes both views.
        grid (`int`): rows and columns of one view's tokens.
        seed (`int`): augmentation seed; every image looks different in every `epoch`, which whoever reads sets, and
            the same when an epoch is read again. `None` turns augmentation off.
    """

    def __init__(
        self, samples: Sequence[Sample], image_processor: FaceShieldImageProcessor, grid: int, seed: int | None = None
    ) -> None:
        self.samples = samples
        self.image_processor = image_processor
        self.grid = grid
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One image as `pixel_values`, `sav_values`, `type_labels`, `cell_labels` and `box_labels`."""
        sample = self.samples[index]
        image, boxes = sample.open(), sample.boxes
        if self.seed is not None:
            image, boxes = augment(image, boxes, np.random.default_rng([self.seed, index, self.epoch]))
        views = self.image_processor(image, return_tensors="pt")
        cells, targets = cell_targets(boxes, self.grid)
        return {
            "pixel_values": views["pixel_values"][0],
            "sav_values": views["sav_values"][0],
            "type_labels": torch.tensor(TYPES.index(sample.attack_type)),
            "cell_labels": cells.flatten(),
            "box_labels": targets.flatten(1).T,
        }


def cell_targets(boxes: Sequence[Box], grid: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of every cell is covered by a box, against the cell that this box covers most, and by which box.

    Args:
        boxes (`Sequence[Box]`): 0..1 of the image.
        grid (`int`): rows and columns.

    Returns:
        `tuple`: covered share `(grid, grid)`, 0..1, with a 1 for every box, however small; and the covering box's x1,
            y1, x2, y2 `(4, grid, grid)`, where several overlap the one that covers most, and of equals the smaller.
    """
    share = torch.zeros(grid, grid)
    target = torch.zeros(4, grid, grid)
    edges = torch.linspace(0, 1, grid + 1)
    for box in sorted(boxes, key=lambda box: (box.x2 - box.x1) * (box.y2 - box.y1)):
        across = (edges[1:].clamp(max=box.x2) - edges[:-1].clamp(min=box.x1)).clamp(min=0) * grid
        down = (edges[1:].clamp(max=box.y2) - edges[:-1].clamp(min=box.y1)).clamp(min=0) * grid
        covered = down[:, None] * across[None, :]
        covered = covered / covered.max().clamp(min=1e-6)
        mine = covered > share
        share = torch.where(mine, covered, share)
        corners = torch.tensor([box.x1, box.y1, box.x2, box.y2], dtype=torch.float32)
        target = torch.where(mine, corners.view(4, 1, 1), target)
    return share, target


def _generalized_iou(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Generalized IoU (Rezatofighi et al., CVPR 2019, algorithm 1) of boxes pair by pair, -1..1."""
    low, high = torch.minimum(boxes[..., :2], boxes[..., 2:]), torch.maximum(boxes[..., :2], boxes[..., 2:])
    shared = (torch.minimum(high, targets[..., 2:]) - torch.maximum(low, targets[..., :2])).clamp(min=0).prod(-1)
    union = (high - low).prod(-1) + (targets[..., 2:] - targets[..., :2]).prod(-1) - shared
    hull = (torch.maximum(high, targets[..., 2:]) - torch.minimum(low, targets[..., :2])).prod(-1)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def _start_embeddings(module: nn.Module) -> None:
    """Start positions small beside the projected features, as the model's own initialisation does."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
