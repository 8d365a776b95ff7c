"""The papers' convolutional baseline: a ResNet that learns the twelve types from images alone, no words.

Trained by the command that judges it, on the protocol's training split, with the same augmentation as the vision tower
of the small checkpoint; p(spoof) is one minus the probability of Bonafide, the type is the likeliest one. A training
run that was killed goes on from its newest checkpoint. It knows transformers' ResNet and Trainer.

Example:
    >>> from faceshield_hf.evaluation.resnet import resnet_config
    >>> resnet_config("tiny").num_labels
    12
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from faceshield_hf.checkpoints import model_digest
from faceshield_hf.data.samples import Sample
from faceshield_hf.evaluation.evaluate import processes
from faceshield_hf.evaluation.results import Said, claim_folder
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.tasks_faceshield import AttackType, Task, Verdict, format_answer
from faceshield_hf.training.augment import augment
from faceshield_hf.training.resuming import last_checkpoint


TYPES = tuple(AttackType)
SIDE = 224
# depths and widths; "tiny" is for CPUs and tests
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 64, 128], "embedding_size": 16, "layer_type": "basic"},
    "18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    "50": {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
}


def resnet_config(size: str) -> Any:
    """A random-weight ResNet's configuration over the twelve types.

    Args:
        size (`str`): "tiny", "18" or "50".

    Raises:
        ValueError: for another size.
    """
    from transformers import ResNetConfig

    if size not in SIZES:
        raise ValueError(f"got the ResNet size {size!r}; expected {', '.join(SIZES)}, or a folder or Hub id")
    names = {i: kind.value for i, kind in enumerate(TYPES)}
    return ResNetConfig(id2label=names, label2id={name: i for i, name in names.items()}, **SIZES[size])


def train_resnet(
    model: str,
    train: Sequence[Sample],
    folder: str | Path,
    epochs: float = 10,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    side: int = SIDE,
    revision: str | None = None,
) -> Path:
    """Train the baseline, go on training it, or find it finished.

    Args:
        model (`str`): "tiny", "18" or "50" for random weights, or a folder or Hub id of a pretrained ResNet, whose
            classifier is replaced.
        train (`Sequence[Sample]`): labelled images.
        folder (`str` or `Path`): for checkpoints and the finished model.
        epochs (`float`, *optional*, defaults to 10): passes over the images.
        batch_size (`int`, *optional*, defaults to 32): images a step.
        learning_rate (`float`, *optional*, defaults to 1e-3): AdamW's peak, cosine decay.
        seed (`int`, *optional*, defaults to 0): of weights, order and augmentation.
        side (`int`, *optional*, defaults to 224): pixels of the square that a picture is resized to.
        revision (`str`, *optional*): branch, tag or commit of a Hub id.

    Returns:
        `Path`: the finished model.

    Raises:
        ValueError: for an unknown size, an image that can't be read, or a folder that belongs to another training.
    """
    from transformers import Trainer, TrainingArguments, set_seed

    learnt = json.dumps([[str(sample.path), sample.attack_type.value] for sample in train])
    settings = {"model": model, "revision": revision, "epochs": epochs, "batch_size": batch_size}
    settings |= {"learning_rate": learning_rate, "seed": seed, "side": side, "images": len(train)}
    with processes().main_process_first():
        claim_folder(folder, settings | {"images_sha256": hashlib.sha256(learnt.encode()).hexdigest()})
    finished = Path(folder) / "model"
    if (finished / "config.json").exists():
        return finished
    set_seed(seed)
    network = _network(model, revision)
    processor = FaceShieldImageProcessor(size={"height": side, "width": side}, do_sav=False)
    arguments = TrainingArguments(
        output_dir=str(Path(folder) / "training"),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="epoch",
        report_to="none",
        seed=seed,
        remove_unused_columns=False,
    )
    trainer = Trainer(model=network, args=arguments, train_dataset=_TypedImages(train, processor, seed))
    Path(arguments.output_dir or folder).mkdir(parents=True, exist_ok=True)
    trainer.train(resume_from_checkpoint=last_checkpoint(str(arguments.output_dir)))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        partial = Path(folder) / "model.partial"
        processor.save_pretrained(partial)
        network.save_pretrained(partial)
        os.replace(partial, finished)
    trainer.accelerator.wait_for_everyone()
    return finished


class ResNetScorer:
    """Judges images by a ResNet that `train_resnet` made.

    Args:
        folder (`str` or `Path`): the finished model.
        device (`str` or `torch.device`, *optional*, defaults to `"cpu"`): where it runs.

    Raises:
        ValueError: when the model does not know the twelve types.
    """

    reads_images = True
    threshold: float | None = 0.5
    margin = 0.0

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu") -> None:
        from transformers import ResNetForImageClassification

        self.name = "ResNet"
        self.model: Any = ResNetForImageClassification.from_pretrained(folder).eval().to(device)
        self.processor = FaceShieldImageProcessor.from_pretrained(folder)
        told = [self.model.config.id2label.get(i) for i in range(self.model.config.num_labels)]
        if told != [kind.value for kind in TYPES]:
            raise ValueError(
                f"{folder} knows the classes {told[:3]}...; expected the twelve attack types in their order"
            )

    @torch.inference_mode()
    def say(self, paths: Sequence[str], images: Sequence[Image.Image]) -> list[Said]:
        """Judge images in one batch; its verdict and type are put into the answers' words."""
        pixels = self.processor(list(images), return_tensors="pt")["pixel_values"].to(self.model.device)
        shares = self.model(pixels).logits.float().softmax(-1)
        said = []
        for path, row in zip(paths, shares, strict=True):
            kind = TYPES[int(row.argmax())]
            verdict = Verdict(label="real" if kind.is_live else "spoof", attack_type=kind)
            answers = {task.value: format_answer(verdict, task) for task in (Task.COARSE, Task.FINE)}
            said.append(Said(path, float(1 - row[TYPES.index(AttackType.BONAFIDE)]), answers))
        return said

    def made_by(self) -> dict[str, Any]:
        """The weights."""
        return {"scorer": "resnet", "weights": model_digest(self.model)}


def _network(model: str, revision: str | None) -> Any:
    """Random weights of a size, or pretrained ones under a new classifier."""
    from transformers import ResNetForImageClassification

    if model in SIZES:
        return ResNetForImageClassification(resnet_config(model))
    names = resnet_config("tiny")
    options: dict[str, Any] = {"id2label": names.id2label, "label2id": names.label2id, "num_labels": len(TYPES)}
    options |= {} if revision is None else {"revision": revision}
    return ResNetForImageClassification.from_pretrained(model, ignore_mismatched_sizes=True, **options)


class _TypedImages(Dataset):
    """Augmented images with their type; every read draws a new variant."""

    def __init__(self, samples: Sequence[Sample], processor: FaceShieldImageProcessor, seed: int) -> None:
        self.samples = samples
        self.processor = processor
        self.seed = seed
        self.reads = 0

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One augmented image: `pixel_values` and `labels`."""
        sample = self.samples[index]
        self.reads += 1
        rng = np.random.default_rng([self.seed, index, self.reads])
        try:
            image, _ = augment(to_rgb_image(sample.read()), (), rng)
        except (ValueError, OSError) as error:
            raise ValueError(f"{sample.path}: {error}; leave it out of the training images") from error
        pixels = self.processor(image, return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "labels": torch.tensor(TYPES.index(sample.attack_type))}
