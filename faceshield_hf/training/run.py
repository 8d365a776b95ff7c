"""One training stage from its YAML: what `recipes/pretrain.py` and `recipes/sft.py` share.

It loads a FaceShield checkpoint, chooses what learns, hands the rest to TRL's trainer, and leaves a checkpoint that
tells how it was made. It knows no stage's numbers: they stand in the YAML files.

Example:
    >>> from faceshield_hf.training.run import RecipeArguments
    >>> RecipeArguments(data="outputs/data").train_parts
    ['connector', 'pvtm']
"""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import transformers
from accelerate.state import PartialState

from faceshield_hf.checkpoints import resolve_checkpoint
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.training.card import write_card
from faceshield_hf.training.controls import control_masking
from faceshield_hf.training.feature_cache import FeatureCollator, check_frozen, use_feature_cache
from faceshield_hf.training.precision import avoid_emulation, keep_learning_in_float32
from faceshield_hf.training.progressive import take_vision_tower, with_new_connector
from faceshield_hf.training.provenance import (
    ProvenanceCallback,
    data_revision,
    describe_run,
    rows_a_step,
    write_log,
    write_run,
)
from faceshield_hf.training.resuming import output_folder, resume
from faceshield_hf.training.rows import load_rows
from faceshield_hf.training.stages import save_beside_lora, train_only
from faceshield_hf.training.trainer import FaceShieldTrainer, LossArguments


@dataclass
class RecipeArguments(LossArguments):
    """What a recipe sets beside TRL's own arguments.

    Attributes:
        data (`str`): a folder of records or the id of a data set on the Hub.
        data_revision (`str`, *optional*): branch, tag or commit of the data set.
        train_parts (`list[str]`): parts that learn in full: vision_tower, connector, pvtm, language_model. With
            `use_peft` the language model learns through LoRA beside them.
        cache_vision_features (`str`, *optional*): folder in which a frozen tower's features are kept, so that each
            image is encoded once for all epochs, questions and later runs with the same tower.
        questions_per_row (`int`, *optional*, defaults to 1): join up to so many questions about an image into one
            conversation, whose visual tokens are then computed once. Needs `assistant_only_loss: true`.
        alone_tasks (`list[str]`, *optional*): tasks whose questions are not joined with others.
        vision_tower_from (`str`, *optional*): checkpoint whose vision tower replaces the starting model's.
        model_fields (`dict`, *optional*): fields of the model's configuration to set when it is loaded, such as
            `{"pvtm_mask_prob": 0.0}`; those that change the shapes of weights need another starting checkpoint.
        new_connector (`bool`, *optional*, defaults to `False`): draw the connector anew, as `model_fields` shape it.
        masking_control (`str`, *optional*): "random" or "shuffled", in the place of prompt-guided masking.
        merge_lora (`bool`, *optional*, defaults to `False`): save the model with LoRA merged in `<output_dir>/merged`.
    """

    data: str = field(default="", metadata={"help": "Folder of records, or the id of a data set on the Hub."})
    data_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the data set."})
    train_parts: list[str] = field(
        default_factory=lambda: ["connector", "pvtm"],
        metadata={"help": "Parts that learn in full: vision_tower, connector, pvtm, language_model."},
    )
    cache_vision_features: str | None = field(
        default=None, metadata={"help": "Folder that keeps a frozen tower's features from epoch to epoch."}
    )
    questions_per_row: int = field(default=1, metadata={"help": "Questions about an image in one conversation."})
    alone_tasks: list[str] = field(
        default_factory=list, metadata={"help": "Tasks whose questions are never joined with others."}
    )
    vision_tower_from: str | None = field(
        default=None, metadata={"help": "Checkpoint whose vision tower replaces the starting model's."}
    )
    model_fields: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Fields of the model's configuration to set on loading (JSON)."}
    )
    new_connector: bool = field(default=False, metadata={"help": "Draw the connector anew, shaped by model_fields."})
    masking_control: str | None = field(
        default=None, metadata={"help": "random or shuffled: an ablation's control for prompt-guided masking."}
    )
    merge_lora: bool = field(default=False, metadata={"help": "Save the merged model in <output_dir>/merged."})

    def __post_init__(self) -> None:
        """Read fields that come as JSON from the command line.

        Raises:
            ValueError: for text that is no JSON object, or what `LossArguments` refuses.
        """
        super().__post_init__()
        self.model_fields = read_fields(self.model_fields)


def read_fields(fields: dict[str, Any] | str | None) -> dict[str, Any] | None:
    """Fields of a configuration as YAML or the command line gives them.

    Args:
        fields (`dict` or `str`, *optional*): a mapping, or a JSON object.

    Returns:
        `dict`, *optional*: field -> value.

    Raises:
        ValueError: for text that is no JSON object.
    """
    if not isinstance(fields, str):
        return fields
    try:
        found = json.loads(fields)
    except json.JSONDecodeError as error:
        raise ValueError(f'model_fields is {fields!r}, no JSON ({error}): write {{"use_sav": false}}') from error
    if not isinstance(found, dict):
        raise ValueError(f'model_fields is {fields!r}: expected an object such as {{"use_sav": false}}')
    return found


def parse_arguments(*kinds: Any) -> tuple[Any, ...]:
    """Read the YAML named by `--config` and the command line, which wins, into dataclasses.

    Args:
        kinds (`type`): dataclasses whose fields are the accepted keys.

    Returns:
        `tuple`: one instance a dataclass.

    Raises:
        ValueError: for a key that none of them has.
    """
    from trl import TrlParser

    return tuple(TrlParser(list(kinds)).parse_args_and_config())


def run_stage(recipe: RecipeArguments, training_args: Any, model_args: Any) -> None:
    """Train one stage and save the checkpoint with its processor; an interrupted run goes on where it stopped.

    Args:
        recipe (`RecipeArguments`): data and parts.
        training_args (`trl.SFTConfig`): TRL's and the Trainer's arguments.
        model_args (`trl.ModelConfig`): `model_name_or_path` and the LoRA settings.

    Raises:
        ValueError: when settings contradict each other, nothing would learn, the model or the data can't be loaded,
            or the loss is no finite number.
    """
    check_settings(recipe, training_args, model_args)
    avoid_emulation(training_args, model_args.dtype)
    transformers.set_seed(training_args.seed)
    model, processor = load_start(recipe, model_args)
    peft_config = lora_config(model, recipe, model_args)
    if not train_only(model, recipe.train_parts) and peft_config is None:
        raise ValueError("train_parts is empty and use_peft is off: nothing would learn")
    splits = ["train"] if training_args.eval_strategy == "no" else ["train", "validation"]
    where = data_revision(recipe.data, recipe.data_revision)
    revision = where.get("commit") or recipe.data_revision
    joined = (recipe.questions_per_row, recipe.alone_tasks)
    datasets = [load_rows(recipe.data, split, revision, *joined) for split in splits]
    told = describe_run(
        {"recipe": asdict(recipe), "training": training_args.to_dict(), "model": asdict(model_args)},
        data=where,
        rows={split: len(rows) for split, rows in zip(splits, datasets, strict=True)},
        rows_a_step=rows_a_step(training_args),
    )
    cache = None
    if recipe.cache_vision_features:
        model.to(training_args.device)
        datasets, cache = use_feature_cache(
            recipe.cache_vision_features,
            model,
            processor,
            datasets,
            PartialState(cpu=training_args.use_cpu),
            training_args.bf16,
        )
    provenance = ProvenanceCallback(told)
    trainer = FaceShieldTrainer(
        model=model,
        args=training_args,
        train_dataset=datasets[0],
        eval_dataset=datasets[1] if len(datasets) > 1 else None,
        processing_class=processor,
        peft_config=peft_config,
        callbacks=[provenance],
        losses=recipe,
    )
    if training_args.bf16 or training_args.fp16:
        keep_learning_in_float32(trainer.model)
    if cache is not None:
        check_frozen(trainer.model)  # again: LoRA may have reached the tower
        trainer.data_collator.collator = FeatureCollator(trainer.data_collator.collator, cache)
    save(trainer, recipe, model_args, resume(trainer, provenance), processor)


def check_settings(recipe: RecipeArguments, training_args: Any, model_args: Any) -> None:
    """Stop at settings that can't train this kind of model in a supervised stage.

    Args:
        recipe (`RecipeArguments`): data and parts.
        training_args (`trl.SFTConfig`): TRL's and the Trainer's arguments.
        model_args (`trl.ModelConfig`): the model's.

    Raises:
        ValueError: naming the key, its value and what to set.
    """
    check_start(recipe, training_args, model_args)
    if training_args.max_length is not None:
        raise ValueError(
            f"max_length is {training_args.max_length}, which would cut image tokens: set `max_length: null`"
        )
    if recipe.questions_per_row > 1 and not training_args.assistant_only_loss:
        raise ValueError(
            f"questions_per_row is {recipe.questions_per_row}: set `assistant_only_loss: true`, or questions would be "
            "learnt as well as answers"
        )
    if recipe.questions_per_row == 1 and training_args.assistant_only_loss:
        raise ValueError("assistant_only_loss needs conversations: set questions_per_row above 1, or leave it out")
    if recipe.alone_tasks and recipe.questions_per_row == 1:
        raise ValueError(
            f"alone_tasks is {recipe.alone_tasks}, but no question is joined with another: set questions_per_row "
            "above 1, or leave it out"
        )


def check_start(recipe: RecipeArguments, training_args: Any, model_args: Any) -> None:
    """Stop at settings that no stage can train with, supervised or by rewards.

    Args:
        recipe (`RecipeArguments`): data and parts.
        training_args (`trl.SFTConfig` or `trl.GRPOConfig`): TRL's and the Trainer's arguments.
        model_args (`trl.ModelConfig`): the model's.

    Raises:
        ValueError: naming the key, its value and what to set.
    """
    if not model_args.model_name_or_path:
        raise ValueError("model_name_or_path is not set: name the checkpoint to start from in the YAML")
    if not recipe.data:
        raise ValueError("data is not set: name a folder of records or a data set on the Hub in the YAML")
    if recipe.merge_lora and not model_args.use_peft:
        raise ValueError("merge_lora is set without use_peft: there is no LoRA to merge")
    changed = [name for name in ("vision_tower_from", "new_connector", "model_fields") if vars(recipe)[name]]
    if model_args.use_peft and changed and not recipe.merge_lora:
        raise ValueError(
            f"use_peft with {changed[0]}: an adapter names the checkpoint that it belongs to, which {changed[0]} "
            "changes in memory only. Set merge_lora: true, which saves the whole model"
        )
    # accelerate's launcher tells its processes by environment variables.
    launched = [os.environ.get(f"ACCELERATE_USE_{kind}") == "true" for kind in ("FSDP", "DEEPSPEED")]
    for name in ("cache_vision_features", "merge_lora"):
        if vars(recipe)[name] and (training_args.fsdp or training_args.deepspeed or any(launched)):
            raise ValueError(
                f"{name} needs whole weights on every process, which FSDP and DeepSpeed split: run with DDP or one "
                "process, or leave it out"
            )


def load_start(
    recipe: RecipeArguments, model_args: Any
) -> tuple[FaceShieldForConditionalGeneration, FaceShieldProcessor]:
    """Load what a stage starts from.

    Args:
        recipe (`RecipeArguments`): `model_fields` and `vision_tower_from`.
        model_args (`trl.ModelConfig`): `model_name_or_path`, `model_revision` and `dtype`.

    Returns:
        `tuple`: the model and its processor.

    Raises:
        ValueError: when there is no whole FaceShield checkpoint, or its tower does not fit.
    """
    folder = resolve_checkpoint(model_args.model_name_or_path, model_args.model_revision).folder
    # Weights stay in float32 and `bf16: true` computes in bfloat16: small learning rates vanish in bfloat16 weights.
    dtype = getattr(torch, model_args.dtype or "float32")
    fields = read_fields(recipe.model_fields) or {}
    try:
        if recipe.new_connector:
            source = FaceShieldForConditionalGeneration.from_pretrained(folder, dtype=dtype)
            model = with_new_connector(source, fields)
        else:
            model = FaceShieldForConditionalGeneration.from_pretrained(folder, dtype=dtype, **fields)
    except RuntimeError as error:  # transformers' word for weights of other shapes
        raise ValueError(
            f"the weights in {folder} do not fit their configuration"
            f"{f' with model_fields {fields}' if fields else ''}: their shapes differ. Start from the "
            "checkpoint that belongs to it; for another connector set new_connector: true"
        ) from error
    if model_args.attn_implementation:
        # Of the language model alone: convolutional towers know none.
        model.model.language_model.set_attn_implementation(model_args.attn_implementation)
    model.name_or_path = model_args.model_name_or_path  # what an adapter calls its base: the Hub's name, not its cache
    processor = FaceShieldProcessor.from_pretrained(folder)
    processor.vision_token_budget = model.config.vision_token_budget
    processor.num_query_tokens = model.config.gac_num_queries if model.config.connector == "gac" else None
    processor.projector_downsample = model.config.projector_downsample
    processor.image_processor.do_sav = model.config.use_sav
    if recipe.masking_control:
        control_masking(model, recipe.masking_control)
    if recipe.vision_tower_from:
        take_vision_tower(model, recipe.vision_tower_from)
    # Convolutional towers run about twice as fast on CPUs with channels last; for others it changes nothing.
    model.model.vision_tower.to(memory_format=torch.channels_last)
    return model, processor


def lora_config(model: Any, recipe: RecipeArguments, model_args: Any) -> Any:
    """LoRA as the YAML sets it, on the language model only, with the parts that learn in full beside it.

    Args:
        model (`FaceShieldForConditionalGeneration`): the model.
        recipe (`RecipeArguments`): `train_parts`.
        model_args (`trl.ModelConfig`): the LoRA settings.

    Returns:
        `peft.LoraConfig`, *optional*: unless `use_peft` is off.

    Raises:
        ValueError: when the language model would learn twice.
    """
    from trl import get_peft_config

    config = get_peft_config(model_args)
    if config is not None:
        save_beside_lora(config, model, recipe.train_parts)
    return config


def save(
    trainer: transformers.Trainer,
    recipe: RecipeArguments,
    model_args: Any,
    told: dict[str, Any],
    processor: FaceShieldProcessor,
) -> None:
    """Save the finished stage: weights, processor, `run.json` and card; with `merge_lora` the merged model too.

    Args:
        trainer (`Trainer`): after training.
        recipe (`RecipeArguments`): `merge_lora`.
        model_args (`trl.ModelConfig`): `use_peft`.
        told (`dict`): what `resume` gave: what made the weights, and how far the run came.
        processor (`FaceShieldProcessor`): goes beside the weights.
    """
    folders = [output_folder(trainer.args)]
    trainer.save_model(str(folders[0]))
    if recipe.merge_lora:
        merged = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
        folders.append(folders[0] / "merged")
        if trainer.is_world_process_zero():
            merged.save_pretrained(folders[1])
    if not trainer.is_world_process_zero():
        return
    for folder in folders:
        processor.save_pretrained(folder)
        write_run(folder, told)
        write_log(folder, trainer.state.log_history)
        is_adapter = model_args.use_peft and folder == folders[0]
        write_card(folder, told, trainer.state.log_history, is_adapter=is_adapter)
