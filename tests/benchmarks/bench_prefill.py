"""Time to first token and decoding speed against Llava with the same backbones and weights.

OMP_NUM_THREADS=1 python tests/benchmarks/bench_prefill.py [--repeats 15]
"""

# ruff: noqa: T201

import argparse
from typing import Any

import torch
from measure import HEADER, Row, by_turns, in_ms, ratio
from transformers import LlavaConfig, LlavaForConditionalGeneration, Phi3Config, SiglipVisionConfig

from faceshield_hf import FaceShieldConfig, FaceShieldForConditionalGeneration


SIDE, PATCH = 224, 14
TOKENS = (SIDE // PATCH) ** 2
IMAGE, TURN_END = 4000, 3999
DECODED = 32


def backbones() -> tuple[SiglipVisionConfig, Phi3Config]:
    """A small SigLIP tower and a small Phi-3."""
    vision = SiglipVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=6,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = Phi3Config(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return vision, text


def llava() -> LlavaForConditionalGeneration:
    """Llava over both backbones, with random weights."""
    vision, text = backbones()
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE,
        vision_feature_select_strategy="full",
        vision_feature_layer=-2,
    )
    return LlavaForConditionalGeneration(config).eval()


def faceshield(weights: dict[str, torch.Tensor], **changes: Any) -> FaceShieldForConditionalGeneration:
    """FaceShield over both backbones, with Llava's weights."""
    vision, text = backbones()
    config = FaceShieldConfig(
        vision_config=vision, text_config=text, image_token_id=IMAGE, turn_end_token_id=TURN_END, **changes
    )
    model = FaceShieldForConditionalGeneration(config).eval()
    model.load_state_dict({**model.state_dict(), **weights})
    return model


def prompt(images: int, question: int = 20) -> torch.Tensor:
    """Placeholders, words and an end of turn."""
    words = torch.randint(5, 3000, (1, question), generator=torch.Generator().manual_seed(1))
    return torch.cat([torch.full((1, images), IMAGE), words, torch.tensor([[TURN_END, 7]])], dim=1)


def generate(model: Any, ids: torch.Tensor, tokens: int, **pictures: torch.Tensor) -> None:
    """Answer greedily with so many tokens."""
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        **pictures,
    )


def measure(repeats: int = 15) -> list[Row]:
    """Measure both models by turns, with equal logits."""
    torch.manual_seed(0)
    theirs = llava()
    weights = theirs.state_dict()
    rgb = faceshield(weights, use_sav=False, pvtm_mask_prob=0.0)
    both = faceshield(weights, vision_token_budget=TOKENS // 2)
    picture = torch.randn(1, 3, SIDE, SIDE)
    ids, fewer = prompt(TOKENS), prompt(TOKENS // 2)
    with torch.inference_mode():
        difference = (theirs(ids, picture).logits - rgb(ids, picture).logits).abs().max().item()
    first = by_turns(
        repeats,
        lambda: generate(theirs, ids, 1, pixel_values=picture),
        lambda: generate(rgb, ids, 1, pixel_values=picture),
        lambda: generate(both, fewer, 1, pixel_values=picture, sav_values=picture),
    )
    long = by_turns(
        repeats,
        lambda: generate(theirs, ids, DECODED, pixel_values=picture),
        lambda: generate(rgb, ids, DECODED, pixel_values=picture),
    )
    alone = [sorted(times)[len(times) // 2] for times in first[:2]]
    decode = [[(whole - start) / (DECODED - 1) for whole in times] for times, start in zip(long, alone, strict=True)]
    return [
        Row(
            "time to first token, RGB only",
            "LlavaForConditionalGeneration, same weights",
            ratio(first[1], first[0]),
            1.05,
            detail=f"{in_ms(first[1], first[0])}; greatest difference of logits {difference:.1e}",
        ),
        Row(
            "time to first token, RGB and SAV, budget 25 %",
            "the same Llava, RGB only",
            ratio(first[2], first[0]),
            1.0,
            detail=in_ms(first[2], first[0]),
        ),
        Row(
            "tokens a second while decoding",
            "the same Llava",
            ratio(decode[0], decode[1]),
            1.0,
            at_least=True,
            detail=f"{in_ms(decode[1], decode[0])} a token",
        ),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    print(HEADER, *(row.to_markdown() for row in measure(parser.parse_args().repeats)), sep="\n")
