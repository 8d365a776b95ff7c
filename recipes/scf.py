# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Spoof-aware captioning and filtering (I-FAS): caption, keep by keywords, fine-tune the captioner, caption again.

```bash
python recipes/scf.py recipes/build-dataset/scf.yaml --inputs outputs/images/train-A --out outputs/scf
```

Steps, each in its folder below `out`, each done once: `general` (captions by the general captioner, those of attacks
kept by their type's words), `captioner` (fine-tuned on what was kept of the attacks), `spoof-aware` (captions by it,
filtered likewise), `interpretations` (judgement and caption as answers to the fine task: what `recipes/sft.py` reads).
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor, set_seed
from trl import SFTConfig, SFTTrainer

from faceshield_hf.data.build import read_arguments
from faceshield_hf.data.build.card import write_card
from faceshield_hf.data.build.config import read_config
from faceshield_hf.data.build.run import build_dataset
from faceshield_hf.data.instruct.scf import spoof_caption_turns, write_interpretations
from faceshield_hf.training.provenance import (
    ProvenanceCallback,
    data_revision,
    describe_run,
    rows_a_step,
    write_run,
)
from faceshield_hf.training.resuming import check_unchanged, resume
from faceshield_hf.whole_files import write_json


def main(arguments: list[str]) -> None:
    """Run every step that is not done yet."""
    values = read_arguments(["--config", *arguments])
    out = Path(values.pop("out"))
    inputs = values.pop("inputs", None) or values["caption"].get("inputs")
    caption, finetune = values.pop("caption"), values.pop("finetune")
    if values:
        raise ValueError(f"unknown keys {sorted(values)}; known are out, inputs, caption and finetune")
    general = read_config({**caption, "out": str(out / "general"), "inputs": inputs})
    if not general.filters.spoof_words:
        raise ValueError("caption.filters.spoof_words is off: without it nothing is filtered")
    before = build_dataset(general)
    tune(str(general.assistant.model), out, finetune)
    assistant = {**caption["assistant"], "model": str(out / "captioner")}
    aware = read_config({**caption, "out": str(out / "spoof-aware"), "inputs": inputs, "assistant": assistant})
    after = build_dataset(aware)
    told = write_interpretations(out / "spoof-aware", out / "interpretations")
    kept = after["records"] - told["contradicting"]
    counts = {**after, "records": kept, "task": {"fine": kept}}
    write_card(out / "interpretations", counts, aware.card)
    report = {
        "general": before["filters"]["spoof_words"],
        "spoof-aware": after["filters"]["spoof_words"],
        "kept_by_type": {"general": before["attack_type"], "spoof-aware": after["attack_type"]},
        "interpretations": told,
    }
    write_json(out / "report.json", report)
    print(json.dumps(report, indent=2))


def tune(model: str, out: Path, settings: dict[str, Any]) -> None:
    """Fine-tune the captioner on the kept captions of attacks; a run that was stopped goes on.

    Raises:
        ValueError: when the folder holds a captioner of other settings or captions.
    """
    lora, run = settings.get("lora"), out / "captioner-run"
    arguments = SFTConfig(
        **{k: v for k, v in settings.items() if k != "lora"},
        output_dir=str(run),
        max_length=None,
        report_to="none",
    )
    told = describe_run(
        {"recipe": {"captioner": model, "lora": lora}, "training": arguments.to_dict()},
        data=data_revision(str(out / "general"), None),
        rows_a_step=rows_a_step(arguments),
    )
    if (out / "captioner" / "config.json").is_file():
        check_unchanged(out / "captioner", told)
        print("[captioner] done before", flush=True)
        return
    set_seed(arguments.seed)
    processor = AutoProcessor.from_pretrained(model)
    provenance = ProvenanceCallback(told)
    trainer = SFTTrainer(
        model=AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32),
        args=arguments,
        train_dataset=spoof_caption_turns(out / "general"),
        processing_class=processor,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **lora) if lora else None,
        callbacks=[provenance],
    )
    made = resume(trainer, provenance)
    tuned: Any = trainer.model
    if lora:
        tuned = tuned.merge_and_unload()
    # The folder gets its name when it is whole: a killed run is seen as not done.
    partial = out / "captioner.partial"
    trainer.accelerator.unwrap_model(tuned).save_pretrained(partial)
    processor.save_pretrained(partial)
    write_run(partial, made)
    partial.rename(out / "captioner")


if __name__ == "__main__":
    main(sys.argv[1:])
