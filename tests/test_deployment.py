"""What a deployer may ask of a model beside float32 in eager mode: the answers stay the same, within a tolerance."""

import importlib.util

import pytest
import torch
from tiny import encode, face, question, tiny_model, tiny_processor

from faceshield_hf import FaceShield, FaceShieldForConditionalGeneration


pytest_plugins = ["tiny_checkpoint"]

GREEDY = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 2}


@pytest.fixture(scope="module")
def batch():
    return encode(tiny_processor(), [question("Real?", 0), question("Is the face in the image real?", 1)])


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.03), ("float16", 0.005)])
def test_half_precision_scores_like_float32(tiny_folder, shared_shield, dtype, tolerance):
    half = FaceShield.from_pretrained(tiny_folder, device="cpu", dtype=dtype)
    assert half.model.dtype == getattr(torch, dtype)
    for seed in range(3):
        assert half.score(face(seed)) == pytest.approx(shared_shield.score(face(seed)), abs=tolerance)
    assert half.detect(face(), tasks=["coarse"], quality=False).answers["coarse"] is not None


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.15), (torch.float16, 0.02)])
def test_half_precision_logits_stay_near(batch, dtype, tolerance):
    model = tiny_model()
    with torch.inference_mode():
        expected = model(**batch).logits
        half = tiny_model().to(dtype)(**batch).logits.float()
    mask = batch["attention_mask"].bool()
    error = (half - expected)[mask].norm() / expected[mask].norm()
    assert error < tolerance


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated", "ignore:torch.quantize_per")
def test_int8_weights_on_the_cpu_score_like_float32(batch):
    if torch.backends.quantized.engine == "none":
        pytest.skip("this build of torch has no quantized kernels")
    model = tiny_model(score_temperature=10.0)
    expected = model.score(batch)
    quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    torch.testing.assert_close(quantized.score(batch), expected, rtol=0, atol=0.05)
    assert quantized.generate(**batch, **GREEDY).shape == model.generate(**batch, **GREEDY).shape


def test_a_compiled_forward_gives_the_same_logits(batch):
    model = tiny_model(vision_token_budget=None)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_may_be_chosen_on_loading(tiny_folder, implementation):
    model = FaceShieldForConditionalGeneration.from_pretrained(tiny_folder, attn_implementation=implementation)
    parts = (model, model.model.vision_tower, model.model.language_model)
    assert {part.config._attn_implementation for part in parts} == {implementation}


def test_flash_attention_is_accepted_where_it_is_installed(tiny_folder):
    parts = (FaceShieldForConditionalGeneration, *map(type, tiny_model().model.children()))
    assert all(part._supports_flash_attn for part in parts if hasattr(part, "_supports_flash_attn"))
    if importlib.util.find_spec("flash_attn") is None:
        with pytest.raises(ImportError, match="FlashAttention2"):
            FaceShieldForConditionalGeneration.from_pretrained(tiny_folder, attn_implementation="flash_attention_2")
