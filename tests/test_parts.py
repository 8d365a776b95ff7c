"""Composing a model from pretrained parts on disk, and its agreement with the processor composed from the same."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import TEXT, VISION, encode, question
from toy_tokenizers import toy_tokenizer
from transformers import (
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from faceshield_hf import FaceShieldForConditionalGeneration, FaceShieldProcessor


TOWER = {key: value for key, value in VISION.items() if key not in ("model_type", "vision_use_head")}
READER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 60,
    "max_position_embeddings": 8,
}
LM = {key: value for key, value in TEXT.items() if key not in ("model_type", "vocab_size")}
GREEDY = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}


def vision_part(kind):
    torch.manual_seed(1)
    if kind == "siglip":
        return SiglipVisionModel(SiglipVisionConfig(**TOWER))
    if kind == "two-tower siglip":
        return SiglipModel(SiglipConfig(vision_config=TOWER, text_config=READER))
    if kind == "two-tower clip":
        return CLIPModel(CLIPConfig(vision_config=TOWER, text_config=READER, projection_dim=16))
    return Dinov2Model(Dinov2Config(**{key: value for key, value in TOWER.items() if key != "intermediate_size"}))


def text_part(kind, **changes):
    torch.manual_seed(2)
    family, config, model = {
        "phi3": ("phi3", Phi3Config, Phi3ForCausalLM),
        "llama": ("llama3", LlamaConfig, LlamaForCausalLM),
        "gemma2": ("gemma", Gemma2Config, Gemma2ForCausalLM),
        "phi": ("plain", PhiConfig, PhiForCausalLM),
    }[kind]
    tokenizer = toy_tokenizer(family)
    vocab_size = changes.pop("vocab_size", len(tokenizer))
    return tokenizer, model(config(**{**LM, **changes}, vocab_size=vocab_size))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saves a part once and gives its folder."""
    made = {}

    def save(kind, **changes):
        key = (kind, *sorted(changes.items()))
        if key not in made:
            made[key] = str(tmp_path_factory.mktemp(kind.replace(" ", "_")))
            if kind in ("phi3", "llama", "gemma2", "phi"):
                tokenizer, part = text_part(kind, **changes)
                tokenizer.save_pretrained(made[key])
            else:
                part = vision_part(kind)
                image_processor = SiglipImageProcessorPil(size={"height": 28, "width": 28})
                image_processor.save_pretrained(made[key])
            part.save_pretrained(made[key])
        return made[key]

    return save


def compose(vision, text, **config):
    model = FaceShieldForConditionalGeneration.from_vision_text_pretrained(vision, text, **config)
    processor = FaceShieldProcessor.from_vision_text_pretrained(
        vision, text, vision_token_budget=config.get("vision_token_budget")
    )
    return model, processor


@pytest.mark.parametrize("text", ["phi3", "llama"])
@pytest.mark.parametrize("vision", ["siglip", "two-tower siglip", "two-tower clip", "dinov2"])
def test_any_vision_part_and_any_language_model_chat_together(folder, vision, text, tmp_path):
    torch.manual_seed(0)
    model, processor = compose(folder(vision), folder(text))
    assert processor.image_token_id == model.config.image_token_id
    assert processor.answer_ids == {"real": model.config.real_answer_ids, "spoof": model.config.spoof_answer_ids}
    inputs = encode(processor, [question("Real?", 0), question("Is the face real or spoof?", 1)])
    assert (inputs["input_ids"] == model.config.turn_end_token_id).any(dim=1).all()
    out, score = model.generate(**inputs, **GREEDY), model.score(inputs)
    assert out.shape[1] == inputs["input_ids"].shape[1] + 4
    model.save_pretrained(tmp_path)
    loaded = FaceShieldForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(loaded.generate(**inputs, **GREEDY), out)
    assert torch.equal(loaded.score(inputs), score)


def test_every_weight_of_the_parts_is_where_it_was(folder):
    model, _ = compose(folder("two-tower siglip"), folder("phi3"))
    tower = vision_part("two-tower siglip").vision_model
    pictures = torch.randn(1, 3, 28, 28)
    expected = tower(pictures, output_hidden_states=True).hidden_states[-2]
    found = model.model.vision_tower(pictures, output_hidden_states=True).hidden_states[-2]
    assert torch.equal(found, expected)
    ids = torch.tensor([[1, 20, 21]])
    alone = AutoModelForCausalLM.from_pretrained(folder("phi3"))(ids).logits
    assert torch.equal(model(ids).logits[..., : alone.shape[-1]], alone)


def test_what_no_part_brings_is_initialised_and_trains(folder):
    torch.manual_seed(0)
    model, processor = compose(folder("siglip"), folder("phi3"), pvtm_mask_prob=0.5)
    std = model.model.multi_modal_projector.linear_1.weight.std().item()
    assert std == pytest.approx(TEXT["initializer_range"], rel=0.2)
    assert model.model.pvtm.mask_embedding.abs().sum() > 0
    assert not any(parameter.is_meta for parameter in model.parameters())
    inputs = encode(processor, [question()])
    model.train()(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert model.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0


def test_the_pooling_head_of_a_siglip_tower_is_left_behind(folder):
    model, _ = compose(folder("siglip"), folder("phi3"))
    assert model.config.vision_config.vision_use_head is False
    assert not any("head" in name for name, _ in model.model.vision_tower.named_parameters())


def test_a_spare_row_takes_the_image_token_and_nothing_is_resized(folder):
    words = len(toy_tokenizer("phi3"))
    model, processor = compose(folder("siglip"), folder("phi3", vocab_size=words + 10))
    assert model.config.image_token_id == processor.image_token_id == words
    assert model.get_input_embeddings().num_embeddings == model.lm_head.out_features == words + 10


def test_without_a_spare_row_embeddings_and_head_grow_by_the_image_token(folder):
    words = len(toy_tokenizer("phi3"))
    model, processor = compose(folder("siglip"), folder("phi3"))
    assert model.config.image_token_id == processor.image_token_id == words
    assert model.get_input_embeddings().num_embeddings == model.lm_head.out_features == words + 1
    assert model.config.text_config.vocab_size == words + 1


def test_generation_stops_where_the_language_model_stops_and_where_its_turn_ends(folder):
    model, processor = compose(folder("siglip"), folder("phi3"))
    tokenizer = processor.tokenizer
    ends = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|end|>"])
    settings = model.generation_config
    assert settings.eos_token_id == sorted(ends)
    assert (settings.bos_token_id, settings.pad_token_id) == (tokenizer.bos_token_id, tokenizer.pad_token_id)
    assert settings.suppress_tokens == [model.config.image_token_id]
    assert not settings.do_sample
    assert model.config.turn_end_token_id == ends[1]


def test_configuration_fields_can_be_given(folder):
    model, processor = compose(
        folder("two-tower siglip"), folder("llama"), vision_token_budget=5, pvtm_mask_prob=0.0, turn_end_token_id=3
    )
    assert (model.config.vision_token_budget, model.config.pvtm_mask_prob) == (5, 0.0)
    assert model.config.turn_end_token_id == 3
    assert model.generate(**encode(processor, [question()]), **GREEDY).shape[0] == 1


def test_a_globally_aware_connector_can_be_composed(folder):
    model, _ = compose(folder("dinov2"), folder("phi3"), connector="gac", gac_num_queries=8, gac_depth=1)
    processor = FaceShieldProcessor.from_vision_text_pretrained(folder("dinov2"), folder("phi3"), num_query_tokens=8)
    assert model.model.multi_modal_projector.learned_queries.abs().sum() > 0
    assert model.generate(**encode(processor, [question()]), **GREEDY).shape[0] == 1


def test_the_other_half_of_a_two_tower_repository_reads_the_prompt(folder):
    model, processor = compose(folder("two-tower siglip"), folder("phi3"), pvtm_prompt_source="text_tower")
    prompt = torch.tensor([[3, 4, 5, 1, 1, 1, 1, 1]])
    expected = vision_part("two-tower siglip").text_model(prompt).pooler_output
    torch.testing.assert_close(model.model.prompt_tower(prompt).pooler_output, expected)
    inputs = encode(processor, [question()])
    out = model(**inputs, prompt_input_ids=prompt, output_vision_importance=True)
    assert out.vision_importance.shape == (1, 8)


def test_a_vision_tower_alone_can_not_read_the_prompt(folder):
    with pytest.raises(ValueError, match="needs a two-tower checkpoint"):
        compose(folder("siglip"), folder("phi3"), pvtm_prompt_source="text_tower")


def test_one_type_for_all_weights_on_demand(folder):
    model = FaceShieldForConditionalGeneration.from_vision_text_pretrained(
        folder("siglip"), folder("phi3"), dtype=torch.bfloat16
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.config.dtype == torch.bfloat16


def test_tied_embeddings_stay_tied(folder, tmp_path):
    model, _ = compose(folder("siglip"), folder("llama", tie_word_embeddings=True))
    model.save_pretrained(tmp_path)
    for each in (model, FaceShieldForConditionalGeneration.from_pretrained(tmp_path)):
        assert each.config.tie_word_embeddings
        assert each.lm_head.weight is each.get_input_embeddings().weight


def test_a_language_model_that_caps_its_logits_is_refused(folder):
    with pytest.raises(ValueError, match='"gemma2" scales or caps its logits'):
        compose(folder("siglip"), folder("gemma2", head_dim=12))


def test_a_language_model_whose_head_has_a_bias_is_refused(folder):
    with pytest.raises(ValueError, match="only a linear head without bias"):
        compose(folder("siglip"), folder("phi"))


def test_a_part_with_missing_weights_is_refused_with_one_of_their_names(folder, tmp_path):
    shutil.copytree(folder("dinov2"), tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    renamed = {name.replace("fc1", "dense1"): tensor for name, tensor in weights.items()}
    assert renamed.keys() != weights.keys()
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 4 weights of Dinov2Model, e\.g\. .*fc1"):
        compose(str(tmp_path), folder("phi3"))


def test_a_part_that_is_not_there_is_an_error_that_names_it(folder):
    with pytest.raises(OSError, match="no/such/part"):
        compose("no/such/part", folder("phi3"))
