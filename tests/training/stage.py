"""A tiny start for training stages: pretrained parts, a checkpoint, records of every task, and how to run a recipe."""

import json
import os
import sys
from multiprocessing import get_context
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import torch
import yaml
from tiny import TEXT, VISION, face, tiny_model, tiny_processor
from toy_tokenizers import toy_tokenizer
from transformers import Phi3Config, Phi3ForCausalLM, SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from faceshield_hf import FaceShieldForConditionalGeneration
from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, Box, Task, Verdict, format_answer


RECIPES = Path(__file__).parents[2] / "recipes"
# What makes a recipe for a large GPU a moment's work on a CPU; everything else stays as its YAML says.
SMALL = ["--use_cpu", "true", "--max_steps", "2", "--logging_steps", "1", "--save_strategy", "no"]
SMALL += ["--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "1", "--report_to", "none"]
SMALL += ["--disable_tqdm", "true"]

REAL = Verdict(label="real", explanation="Skin has pores.")
SPOOF = Verdict(
    label="spoof",
    attack_type=AttackType.PRINT,
    boxes=(Box(0.1, 0.1, 0.6, 0.6, "print"),),
    explanation="Halftone dots show.",
)


def save_start(folder: Path, **changes) -> Path:
    """A random FaceShield checkpoint and its processor."""
    settings = {"num_query_tokens": changes["gac_num_queries"]} if changes.get("connector") == "gac" else {}
    tiny_model(**changes).save_pretrained(folder)
    tiny_processor(do_sav=changes.get("use_sav", True), **settings).save_pretrained(folder)
    return folder


def save_parts(folder: Path) -> tuple[Path, Path]:
    """A random SigLIP tower and a random Phi-3 with its tokenizer, as their Hub repositories hold them."""
    torch.manual_seed(1)
    tower = {name: value for name, value in VISION.items() if name not in ("model_type", "vision_use_head")}
    text = {name: value for name, value in TEXT.items() if name not in ("model_type", "vocab_size")}
    tokenizer = toy_tokenizer("phi3")
    SiglipVisionModel(SiglipVisionConfig(**tower)).save_pretrained(folder / "vision")
    side = VISION["image_size"]
    SiglipImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder / "vision")
    Phi3ForCausalLM(Phi3Config(**text, vocab_size=len(tokenizer) + 8)).save_pretrained(folder / "text")
    tokenizer.save_pretrained(folder / "text")
    return folder / "vision", folder / "text"


def write_records(folder: Path, tasks: tuple[Task, ...] = tuple(Task), images: int = 4, split: str = "train") -> Path:
    """One question of each task about each of some pictures, live and printed by turns."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{split}.jsonl").open("w") as out:
        for i in range(images):
            face(i).save(folder / f"{i}.png")
            verdict = (REAL, SPOOF)[i % 2]
            boxes = [{"x1": b.x1, "y1": b.y1, "x2": b.x2, "y2": b.y2, "region": b.label} for b in verdict.boxes]
            for task in tasks:
                told = {
                    "image": f"{i}.png",
                    "question": QUESTIONS[task][0],
                    "answer": format_answer(verdict, task),
                    "task": task.value,
                    "label": verdict.label,
                    "attack_type": (verdict.attack_type or AttackType.BONAFIDE).value,
                    "boxes": boxes,
                }
                out.write(json.dumps(told) + "\n")
    return folder


def write_config(folder: Path) -> Path:
    """A stage's YAML for the checkpoint and the records in a folder: everything learns but the tower, in float32."""
    told = {
        "activation_checkpointing": False,
        "data": str(folder / "records"),
        "disable_tqdm": True,
        "learning_rate": 1.0e-3,
        "logging_steps": 1,
        "max_length": None,
        "model_name_or_path": str(folder / "init"),
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "seed": 0,
        "train_parts": ["connector", "pvtm", "language_model"],
        "use_cpu": True,
    }
    (folder / "sft.yaml").write_text(yaml.safe_dump(told))
    return folder / "sft.yaml"


def run(monkeypatch, start: Path, out: Path, *options: str) -> None:
    """Run a stage from a folder of `write_config`."""
    from trl import ModelConfig, SFTConfig

    from faceshield_hf.training.run import RecipeArguments, run_stage

    kinds = (RecipeArguments, SFTConfig, ModelConfig)
    run_recipe(monkeypatch, run_stage, kinds, start / "sft.yaml", "--output_dir", out, *options)


def fork_stage(start: Path, out: Path, *options: str, environment: dict[str, str] | None = None) -> Process:
    """Run a stage in a process of its own, which needn't import everything again; its output goes to `<out>.log`."""

    def child() -> None:
        from accelerate.state import AcceleratorState

        from faceshield_hf.training.run import RecipeArguments, parse_arguments, run_stage

        os.setsid()
        log = os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(environment or {})
        AcceleratorState._reset_state(reset_partial_state=True)  # the parent's: one process
        sys.argv = ["sft.py", "--config", str(start / "sft.yaml"), "--output_dir", str(out), *options]
        from trl import ModelConfig, SFTConfig

        run_stage(*parse_arguments(RecipeArguments, SFTConfig, ModelConfig))

    process = get_context("fork").Process(target=child)
    process.start()
    return process


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint."""
    return FaceShieldForConditionalGeneration.from_pretrained(folder).state_dict()


def run_recipe(monkeypatch, run, kinds, config: Path, *options: str) -> None:
    """Run a recipe's own function as its script does, with the YAML and further arguments."""
    from faceshield_hf.training.run import parse_arguments

    monkeypatch.setattr(sys, "argv", ["recipe.py", "--config", str(config), *map(str, options)])
    run(*parse_arguments(*kinds))
