"""Builders of tiny random models, processors and inputs; conftest gives the usual ones as session fixtures."""

import numpy as np
import torch
from PIL import Image
from toy_tokenizers import toy_tokenizer

from faceshield_hf import (
    FaceShieldConfig,
    FaceShieldForConditionalGeneration,
    FaceShieldImageProcessor,
    FaceShieldProcessor,
)
from faceshield_hf.composition_faceshield import compose_tokenizer


SIDE, PATCH = 28, 14
GRID = (SIDE // PATCH) ** 2
VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
    "vision_use_head": False,
}
TEXT = {
    "model_type": "phi3",
    "vocab_size": 400,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "initializer_range": 0.3,  # wide enough that every input gets an answer of its own
}
MOBILENET = {"model_type": "mobilenet_v2", "tf_padding": False, "depth_multiplier": 0.35, "image_size": 64}


def tiny_processor(**changes) -> FaceShieldProcessor:
    """A processor for `tiny_model`; `do_sav` and `side` go to the image processor."""
    tokenizer = toy_tokenizer("phi3")
    composed = compose_tokenizer(tokenizer)
    side = changes.pop("side", SIDE)
    image_processor = FaceShieldImageProcessor(
        size={"height": side, "width": side}, do_sav=changes.pop("do_sav", True)
    )
    settings = {"patch_size": PATCH, "chat_template": composed.chat_template, **changes}
    return FaceShieldProcessor(image_processor, tokenizer, **settings)


def tiny_config(**changes) -> FaceShieldConfig:
    """A SigLIP + Phi-3 configuration with the toy tokenizer's ids; fields may be changed."""
    tokenizer = toy_tokenizer("phi3")
    composed = compose_tokenizer(tokenizer)
    fields = {
        "vision_config": VISION,
        "text_config": TEXT,
        "image_token_id": composed.image_token_id,
        "turn_end_token_id": composed.turn_end_token_id,
        "real_answer_ids": composed.real_answer_ids,
        "spoof_answer_ids": composed.spoof_answer_ids,
    }
    return FaceShieldConfig(**{**fields, **changes})


def tiny_model(seed: int = 0, **changes) -> FaceShieldForConditionalGeneration:
    """A random model in eval mode."""
    torch.manual_seed(seed)
    return FaceShieldForConditionalGeneration(tiny_config(**changes)).eval()


def face(seed: int = 0, size: tuple[int, int] = (50, 40)) -> Image.Image:
    """A picture of noise, different for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def question(text: str = "Is the face in the image real or spoof?", *seeds: int) -> list[dict]:
    """A conversation of one question about one or more pictures."""
    images = [{"type": "image", "image": face(seed)} for seed in seeds or (0,)]
    return [{"role": "user", "content": [*images, {"type": "text", "text": text}]}]


def encode(processor: FaceShieldProcessor, conversations: list[list[dict]], **kwargs) -> dict:
    """The model's inputs for a batch of conversations."""
    kwargs = {"add_generation_prompt": True, "processor_kwargs": {"padding": True}, **kwargs}
    batch = processor.apply_chat_template(
        conversations, tokenize=True, return_dict=True, return_tensors="pt", **kwargs
    )
    return dict(batch)
