"""Fit a small vision tower to spoof traces before any language is learnt.

A tower pretrained on photographs has never seen a local binary pattern or a HOG map, and a frozen one makes the
spoof-aware view useless. Here it learns both views under dense supervision: the attack type of the whole picture,
which cells an attack covers, and, in every covered cell, the box that covers it. The heads are thrown away afterwards;
what stays is the tower, whose features the projector and the language model then read. It knows nothing of questions.

Example:
    >>> import torch
    >>> from transformers import MobileNetV2Config, MobileNetV2Model
    >>> from faceshield_hf.training.tower import TowerWithHeads
    >>> heads = TowerWithHeads(MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35, output_stride=16)))
    >>> sorted(heads(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)))
    ['boxes', 'cells', 'types']
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import MobileNetV2Model

from faceshield_hf.data.samples import Sample
from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.tasks_faceshield import AttackType, Box
from faceshield_hf.training.augment import augment


TYPES = tuple(AttackType)


class TowerWithHeads(nn.Module):
    """A convolutional tower under three heads, shared by the RGB and the spoof-aware view.

    Args:
        tower (`MobileNetV2Model`): gives a feature map; its last block's output is read. Its batch statistics stay as
            pretrained (the two views would spoil each other's), the affine parameters are trained.
        frozen_blocks (`int`, *optional*, defaults to 3): blocks after the stem that stay as pretrained with it; they
            see edges and colours, and their large maps cost most of a step.
    """

    def __init__(self, tower: MobileNetV2Model, frozen_blocks: int = 3) -> None:
        super().__init__()
        self.tower = tower
        # The last 1x1 convolution is not read: data parallel training must not wait for its gradient.
        for part in (tower.conv_stem, *tower.layer[:frozen_blocks], tower.conv_1x1):
            part.requires_grad_(False)
        last: Any = tower.layer[-1]
        channels = last.reduce_1x1.convolution.out_channels
        self.type_head = nn.Sequential(nn.LayerNorm(2 * channels), nn.Linear(2 * channels, len(TYPES)))
        self.joint_head = nn.Sequential(nn.LayerNorm(4 * channels), nn.Linear(4 * channels, len(TYPES)))
        self.cell_head = nn.Conv2d(channels, 1 + 4, 1)

    def parameter_groups(self, tower_learning_rate: float) -> list[dict[str, Any]]:
        """Parameters for an optimizer: the pretrained tower at a pace of its own, the new heads at the optimizer's."""
        tower = [parameter for parameter in self.tower.parameters() if parameter.requires_grad]
        heads = [p for name, p in self.named_parameters() if not name.startswith("tower.")]
        return [{"params": tower, "lr": tower_learning_rate}, {"params": heads}]

    def save_tower(self, folder: Path) -> None:
        """Save the tower without the heads, in the plain memory layout that safetensors wants."""
        self.use_memory_format(torch.contiguous_format)
        self.tower.save_pretrained(folder)

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
        """Predict types, covered cells and boxes.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(batch, 3, height, width)`): RGB view.
            sav_values (`torch.FloatTensor` of shape `(batch, 3, height, width)`): spoof-aware view.
            type_labels (`torch.LongTensor` of shape `(batch,)`, *optional*): index into `TYPES`.
            cell_labels (`torch.FloatTensor` of shape `(batch, rows, columns)`, *optional*): covered share, 0..1.
            box_labels (`torch.FloatTensor` of shape `(batch, 4, rows, columns)`, *optional*): per cell the box that
                covers it, 0..1 of the image.

        Returns:
            `dict`: `types` (logits `(batch, 12)` of both views together), `cells` (logits
                `(2 * batch, rows, columns)`), `boxes` (`(2 * batch, 4, rows, columns)`, 0..1), and with labels `loss`.
        """
        views = torch.cat([pixel_values, sav_values]).contiguous(memory_format=torch.channels_last)
        features = self.tower(views, output_hidden_states=True).hidden_states[-1].float()
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        rgb, sav = pooled.chunk(2)
        cells = self.cell_head(features)
        out = {
            "types": self.joint_head(torch.cat([rgb, sav], 1)),
            "cells": cells[:, 0],
            "boxes": cells[:, 1:].sigmoid(),
        }
        if type_labels is not None and cell_labels is not None and box_labels is not None:
            per_view = F.cross_entropy(self.type_head(pooled), type_labels.repeat(2), label_smoothing=0.05)
            joint = F.cross_entropy(out["types"], type_labels, label_smoothing=0.05)
            covered = cell_labels.repeat(2, 1, 1)
            cell = F.binary_cross_entropy_with_logits(out["cells"], covered)
            distance = F.smooth_l1_loss(out["boxes"], box_labels.repeat(2, 1, 1, 1), beta=0.05, reduction="none").sum(
                1
            )
            box = (distance * covered).sum() / covered.sum().clamp(min=1)
            out = {"loss": joint + 0.5 * per_view + cell + box} | out
        return out


class TowerData(Dataset):
    """Labelled samples as tensors for `TowerWithHeads`.

    Args:
        samples (`Sequence[Sample]`): labelled images.
        image_processor (`FaceShieldImageProcessor`): makes both views.
        grid (`int`): rows and columns of the feature map.
        seed (`int`): augmentation seed; every read of an item draws a new variant. `None` turns augmentation off.
    """

    def __init__(
        self, samples: Sequence[Sample], image_processor: FaceShieldImageProcessor, grid: int, seed: int | None = None
    ) -> None:
        self.samples = samples
        self.image_processor = image_processor
        self.grid = grid
        self.seed = seed
        self.reads = 0

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One image as `pixel_values`, `sav_values`, `type_labels`, `cell_labels` and `box_labels`."""
        sample = self.samples[index]
        image, boxes = Image.open(sample.path).convert("RGB"), sample.boxes
        if self.seed is not None:
            self.reads += 1
            image, boxes = augment(image, boxes, np.random.default_rng([self.seed, index, self.reads]))
        views = self.image_processor(image, return_tensors="pt")
        cells, targets = cell_targets(boxes, self.grid)
        return {
            "pixel_values": views["pixel_values"][0],
            "sav_values": views["sav_values"][0],
            "type_labels": torch.tensor(TYPES.index(sample.attack_type)),
            "cell_labels": cells,
            "box_labels": targets,
        }


def cell_targets(boxes: Sequence[Box], grid: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of every cell is covered by a box, and by which.

    Args:
        boxes (`Sequence[Box]`): 0..1 of the image.
        grid (`int`): rows and columns.

    Returns:
        `tuple`: covered share `(grid, grid)`, 0..1; and the covering box's x1, y1, x2, y2 `(4, grid, grid)`, where
            several overlap the one that covers most, and of equals the smaller.
    """
    share = torch.zeros(grid, grid)
    target = torch.zeros(4, grid, grid)
    edges = torch.linspace(0, 1, grid + 1)
    for box in sorted(boxes, key=lambda box: (box.x2 - box.x1) * (box.y2 - box.y1)):
        across = (edges[1:].clamp(max=box.x2) - edges[:-1].clamp(min=box.x1)).clamp(min=0) * grid
        down = (edges[1:].clamp(max=box.y2) - edges[:-1].clamp(min=box.y1)).clamp(min=0) * grid
        covered = down[:, None] * across[None, :]
        mine = covered > share
        share = torch.where(mine, covered, share)
        corners = torch.tensor([box.x1, box.y1, box.x2, box.y2], dtype=torch.float32)
        target = torch.where(mine, corners.view(4, 1, 1), target)
    return share, target
