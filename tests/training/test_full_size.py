"""The script that measures the paper's model at full size runs, on a few layers, and tells what it should."""

import argparse
import importlib.util

import pytest
from stage import RECIPES


pytest.importorskip("peft", reason="needs the train extra")


def test_the_small_run_tells_time_memory_and_the_sizes_of_all_parts():
    path = RECIPES.parent / "scripts" / "full_size.py"
    spec = importlib.util.spec_from_file_location("full_size", path)
    full_size = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(full_size)
    told = full_size.main(argparse.Namespace(small=True))
    assert told["visual_tokens"] == 2 * 4 * 4
    assert told["forward"]["finite"]
    for step in ("build", "forward", "lora_step"):
        assert told[step]["seconds"] >= 0
        assert told[step]["peak_gib_so_far"] > 0
    assert 0 < told["lora_step"]["loss"] < 100
    # LoRA of rank 128 on qkv, o, gate_up and down of both layers, the projector, the mask embedding
    lora = 2 * 128 * ((96 + 288) + (96 + 96) + (96 + 256) + (128 + 96))
    projector = (64 * 96 + 96) + (96 * 96 + 96)
    assert told["trained_parameters"] == lora + projector + 96


def test_the_published_sizes_have_the_published_numbers_of_parameters():
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM, SiglipVisionConfig, SiglipVisionModel

    path = RECIPES.parent / "scripts" / "full_size.py"
    spec = importlib.util.spec_from_file_location("full_size", path)
    full_size = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(full_size)
    with torch.device("meta"):
        tower = SiglipVisionModel(SiglipVisionConfig(**full_size.SIGLIP))
        text = Phi3ForCausalLM(Phi3Config(**full_size.PHI3))
    assert sum(p.numel() for p in text.parameters()) == 3_821_079_552
    assert 410e6 < sum(p.numel() for p in tower.parameters()) < 430e6
