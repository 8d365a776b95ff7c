"""One forward and one LoRA step of the paper's model at full size, with random weights: time and memory.

SigLIP so400m (384 pixels, 27 layers) and Phi-3-mini (3.8 billion parameters) in bfloat16, both views, 1458 visual
tokens; a question with its answer, LoRA of rank 128 in every block beside the connector and the mask embedding, as
`recipes/faceshield-phi3-siglip/sft.yaml` sets them. Needs about 16 GB of memory on the CPU and no download. Numbers go
to standard output as JSON; nothing is saved.

```bash
python scripts/full_size.py
```

`--small` runs the same on a few layers, to test the script.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from peft import LoraConfig, get_peft_model
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import Phi3Config, PreTrainedTokenizerFast, SiglipVisionConfig

from faceshield_hf import (
    FaceShieldConfig,
    FaceShieldForConditionalGeneration,
    FaceShieldImageProcessor,
    FaceShieldProcessor,
)
from faceshield_hf.processing_faceshield import DEFAULT_CHAT_TEMPLATE
from faceshield_hf.tasks_faceshield import QUESTIONS, SPOOF_ANSWER, Task
from faceshield_hf.training.stages import save_beside_lora, train_only


RECIPE = Path(__file__).parents[1] / "recipes" / "faceshield-phi3-siglip" / "sft.yaml"
GIB = 1024**3
# The published sizes of google/siglip-so400m-patch14-384 and microsoft/Phi-3-mini-4k-instruct.
SIGLIP = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "vision_use_head": False,
}
PHI3 = {
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "sliding_window": 2047,
    "bos_token_id": 1,
    "eos_token_id": 32000,
    "pad_token_id": 32000,
}
SMALL_SIGLIP = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL_PHI3 = {
    "hidden_size": 96,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
IMAGE_TOKEN_ID = 32011


def main(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every step."""
    torch.manual_seed(0)
    told: dict[str, Any] = {"threads": torch.get_num_threads(), "dtype": "bfloat16", "small": arguments.small}
    processor = make_processor(arguments.small)
    model = measure("build", told, lambda: make_model(arguments.small))
    told["parameters"] = {name: count(module) for name, module in model.model.named_children()}
    told["parameters"]["lm_head"] = count(model.lm_head)
    inputs = make_inputs(processor)
    told["tokens"] = inputs["input_ids"].shape[1]
    told["visual_tokens"] = int((inputs["input_ids"] == processor.image_token_id).sum())
    with torch.no_grad():
        prompt = {name: value for name, value in inputs.items() if name != "labels"}
        logits = measure("forward", told, lambda: model(**prompt, logits_to_keep=1).logits)
    told["forward"]["finite"] = bool(logits.isfinite().all())
    trained = add_lora(model)
    told["trained_parameters"] = sum(p.numel() for p in trained.parameters() if p.requires_grad)
    loss = measure("lora_step", told, lambda: lora_step(trained, inputs))
    told["lora_step"]["loss"] = round(loss, 4)
    return told


def make_processor(small: bool) -> FaceShieldProcessor:
    """A processor with a tokenizer of bytes, padded to the ids that Phi-3's has."""
    vocabulary = {token: i for i, token in enumerate(["<unk>", "<s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    vocabulary |= {f"<unused{i}>": i for i in range(len(vocabulary), 32000)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="<|endoftext|>"
    )
    names = ["<|assistant|>", *(f"<|placeholder{i}|>" for i in range(1, 5)), "<|system|>", "<|end|>"]
    names += [f"<|placeholder{i}|>" for i in range(5, 7)] + ["<|user|>", "<image>"]
    fast.add_special_tokens({"additional_special_tokens": names, "pad_token": "<|endoftext|>"})
    side = 56 if small else 384
    image_processor = FaceShieldImageProcessor(size={"height": side, "width": side})
    return FaceShieldProcessor(image_processor, fast, chat_template=DEFAULT_CHAT_TEMPLATE, patch_size=14)


def make_model(small: bool) -> FaceShieldForConditionalGeneration:
    """The model with random weights, drawn in bfloat16 at once: float32 would take twice the memory."""
    config = FaceShieldConfig(
        vision_config=SiglipVisionConfig(**SIGLIP | (SMALL_SIGLIP | {"image_size": 56} if small else {})),
        text_config=Phi3Config(**PHI3 | (SMALL_PHI3 if small else {})),
        image_token_id=IMAGE_TOKEN_ID,
        turn_end_token_id=32007,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        return FaceShieldForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(before)


def make_inputs(processor: FaceShieldProcessor) -> dict[str, torch.Tensor]:
    """A real prompt: a picture, the coarse question and its answer, which alone is learnt."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    content = [
        {"type": "image", "image": Image.fromarray(noise)},
        {"type": "text", "text": QUESTIONS[Task.COARSE][0]},
    ]
    batch = processor.apply_chat_template(
        [{"role": "user", "content": content}, {"role": "assistant", "content": SPOOF_ANSWER}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        return_assistant_tokens_mask=True,
    )
    labels = batch["input_ids"].masked_fill(batch.pop("assistant_masks") == 0, -100)
    return {**batch, "labels": labels}


def add_lora(model: FaceShieldForConditionalGeneration) -> Any:
    """LoRA and the parts beside it, as the recipe sets them."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    config = LoraConfig(
        r=recipe["lora_r"],
        lora_alpha=recipe["lora_alpha"],
        lora_dropout=recipe["lora_dropout"],
        target_modules=recipe["lora_target_modules"],
    )
    train_only(model, recipe["train_parts"])
    save_beside_lora(config, model, recipe["train_parts"])
    trained = get_peft_model(model, config)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    trained.enable_input_require_grads()
    return trained.train()


def lora_step(model: Any, inputs: dict[str, torch.Tensor]) -> float:
    """Forward, backward and an Adam step."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4, weight_decay=0)
    loss = model(**inputs).loss
    loss.backward()
    optimizer.step()
    return loss.item()


def measure(name: str, told: dict[str, Any], work: Callable[[], Any]) -> Any:
    """Run something, and tell its time and the process's highest memory so far."""
    start = time.perf_counter()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    told[name] = {"seconds": round(time.perf_counter() - start, 2), "peak_gib_so_far": round(peak, 2)}
    return result


def count(module: torch.nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a few layers instead of the full size")
    print(json.dumps(main(parser.parse_args()), indent=2))
