"""What a training step costs: against Llava in TRL's trainer, and with the frozen tower's features kept.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_train.py [--repeats 5]

Needs the `train` extra. Llava and FaceShield have the same backbones; FaceShield reads both views of a picture, so
that its steps are longer and the time a token counts.
"""

# ruff: noqa: T201

import argparse
from typing import Any

import torch
from bench_prefill import IMAGE, SIDE, TOKENS, TURN_END, backbones, faceshield, llava
from measure import HEADER, Row, by_turns, in_ms, ratio
from trl.trainer.utils import add_fused_lm_head

from faceshield_hf import FaceShieldConfig, FaceShieldForConditionalGeneration


ROWS, WORDS = 2, 60


def batch(images: int, views: int) -> dict[str, Any]:
    """Rows of placeholders, a question and an answer that counts."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(5, 3000, (ROWS, WORDS), generator=generator)
    words[:, 20] = TURN_END
    ids = torch.cat([torch.full((ROWS, images), IMAGE), words], dim=1)
    labels = ids.clone()
    labels[:, : images + 21] = -100
    pictures = torch.randn(views, ROWS, 3, SIDE, SIDE, generator=generator)
    names = ("pixel_values", "sav_values")[:views]
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        **dict(zip(names, pictures, strict=True)),
    }


def trainer(model: Any) -> Any:
    """TRL's way of computing the loss, with AdamW, over a model whose tower is frozen."""
    model.model.vision_tower.requires_grad_(False)
    model.train()
    add_fused_lm_head(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step(inputs: dict[str, Any]) -> None:
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        (-outputs.log_probs.sum() / outputs.label_mask.sum()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(repeats: int = 5) -> list[Row]:
    """Measure both steps by turns, then stage 1 with and without the tower."""
    torch.manual_seed(0)
    other = llava()
    weights = other.state_dict()
    theirs, rgb, both = trainer(other), trainer(faceshield(weights, use_sav=False)), trainer(faceshield(weights))
    one_view, two_views = batch(TOKENS, 1), batch(2 * TOKENS, 2)
    times = by_turns(repeats, lambda: theirs(one_view), lambda: rgb(one_view), lambda: both(two_views))
    longer = two_views["input_ids"].numel() / one_view["input_ids"].numel()
    a_token = [time / longer for time in times[2]]
    return [
        Row(
            "SFT step with PVTM, RGB only, a token",
            "Llava, TRL's fused loss, same sizes",
            ratio(times[1], times[0]),
            1.1,
            detail=in_ms(times[1], times[0]),
        ),
        Row(
            "SFT step with PVTM, RGB and SAV, a token",
            "the same Llava, RGB only",
            ratio(a_token, times[0]),
            1.1,
            detail=f"{in_ms(times[2], times[0])} a step; ours has {longer:.2f} times the tokens",
        ),
        kept_features(repeats),
    ]


def kept_features(repeats: int) -> Row:
    """Stage 1, where the connector alone learns: the tower's features computed anew, or kept from an epoch before."""
    vision, text = backbones()
    vision.num_hidden_layers, vision.hidden_size, vision.intermediate_size = 12, 384, 1536
    text.num_hidden_layers = 2
    config = FaceShieldConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=IMAGE,
        turn_end_token_id=TURN_END,
        projector_downsample=4,
    )
    model = FaceShieldForConditionalGeneration(config)
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    model.train()
    inputs = batch(2 * TOKENS // 16, 2)
    with torch.no_grad():
        kept = model.model.get_image_features(inputs["pixel_values"], inputs["sav_values"]).vision_features
    text_only = {name: value for name, value in inputs.items() if not name.endswith("_values")}
    anew, reused = by_turns(
        repeats,
        lambda: model(**inputs).loss.backward(),
        lambda: model(**text_only, vision_features=kept).loss.backward(),
    )
    return Row(
        "stage 1 step with kept vision features",
        "with the tower (12 layers, 384 wide; language model 2 layers)",
        ratio(anew, reused),
        3,
        unit="x faster",
        at_least=True,
        detail=in_ms(reused, anew),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    print(HEADER, *(row.to_markdown() for row in measure(parser.parse_args().repeats)), sep="\n")
