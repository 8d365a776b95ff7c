"""The model's forward: Llava's logits, both views, every kind of tower, and what it refuses."""

import pytest
import torch
from tiny import GRID, MOBILENET, PATCH, TEXT, encode, question, tiny_config, tiny_model, tiny_processor
from transformers import LlavaConfig, LlavaForConditionalGeneration

from faceshield_hf import FaceShieldForConditionalGeneration, FaceShieldModel


def visual_tokens(model, inputs):
    with torch.no_grad():
        return model(**inputs).image_hidden_states


@pytest.mark.parametrize("layer", [-2, [-2, 0]])
def test_without_sav_and_masking_the_logits_equal_llavas_bit_for_bit(layer):
    ours = tiny_model(use_sav=False, pvtm_mask_prob=0.0, vision_feature_layer=layer)
    torch.manual_seed(1)
    theirs = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=ours.config.vision_config,
            text_config=ours.config.text_config,
            image_token_index=ours.config.image_token_id,
            vision_feature_select_strategy="full",
            vision_feature_layer=layer,
        )
    ).eval()
    ours.load_state_dict(theirs.state_dict())  # strict: the names are Llava's, and there are no others
    conversations = [question("Real?", 0), question("Is the face in the image real or spoof?", 1, 2)]
    inputs = encode(tiny_processor(do_sav=False), conversations)
    with torch.no_grad():
        assert torch.equal(ours(**inputs).logits, theirs(**inputs).logits)
    labels = inputs["input_ids"]
    assert torch.equal(ours(**inputs, labels=labels).loss, theirs(**inputs, labels=labels).loss)


def test_the_rgb_view_comes_first_and_the_spoof_aware_view_second(model, inputs):
    rgb_only = tiny_model(use_sav=False)
    rgb_only.load_state_dict(model.state_dict())
    both = visual_tokens(model, inputs)
    assert both.shape == (2, 2 * GRID, TEXT["hidden_size"])
    rgb, sav = (
        torch.stack(rgb_only.get_image_features(inputs[name]).pooler_output) for name in ("pixel_values", "sav_values")
    )
    torch.testing.assert_close(both, torch.cat([rgb, sav], dim=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_feature_layer": -1},
        {"vision_feature_layer": [-1, 15]},
        {"vision_feature_layer": -1, "projector_downsample": 2},
        {"connector": "gac", "gac_num_queries": 40, "gac_depth": 1},
    ],
)
def test_a_feature_map_tower_works_from_picture_to_answer(changes):
    model = tiny_model(vision_config=MOBILENET, **changes)
    fold = changes.get("projector_downsample", 1)
    processor = tiny_processor(
        side=64, patch_size=32, projector_downsample=fold, num_query_tokens=changes.get("gac_num_queries")
    )
    inputs = encode(processor, [question("Real?", 0), question("Why?", 1)])
    tokens = changes.get("gac_num_queries", 2 * 4 // fold**2)
    assert visual_tokens(model, inputs).shape == (2, tokens, TEXT["hidden_size"])
    out = model.generate(**inputs, max_new_tokens=3, do_sample=False, eos_token_id=None)
    assert out.shape[1] == inputs["input_ids"].shape[1] + 3


@pytest.mark.parametrize("vision", ["clip_vision_model", "vit", "dinov2", "dinov2_with_registers"])
@pytest.mark.parametrize("connector", ["mlp", "gac"])
def test_towers_with_class_and_register_tokens_give_patch_tokens_only(inputs, vision, connector):
    tower = {"model_type": vision, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower |= {"image_size": 28, "patch_size": PATCH}
    model = tiny_model(vision_config=tower, connector=connector, gac_num_queries=2 * GRID)
    assert visual_tokens(model, inputs).shape == (2, 2 * GRID, TEXT["hidden_size"])


def test_folding_neighbours_gives_a_quarter_of_the_tokens():
    model = tiny_model(projector_downsample=2)
    assert model.model.multi_modal_projector.linear_1.in_features == 4 * 32
    inputs = encode(tiny_processor(projector_downsample=2), [question()])
    assert visual_tokens(model, inputs).shape == (1, 2 * GRID // 4, TEXT["hidden_size"])


def test_a_frozen_tower_keeps_its_batch_statistics_and_stays_in_eval_mode():
    model = tiny_model(vision_config=MOBILENET, vision_feature_layer=-1)
    inputs = encode(tiny_processor(side=64, patch_size=32), [question()])
    model.model.vision_tower.requires_grad_(False)
    model.train()
    assert model.model.language_model.training
    assert not any(module.training for module in model.model.vision_tower.modules())
    before = {name: buffer.clone() for name, buffer in model.model.vision_tower.named_buffers()}
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.model.vision_tower.named_buffers())


def test_a_tower_with_one_trainable_part_trains():
    model = tiny_model(vision_config=MOBILENET, vision_feature_layer=-1)
    model.model.vision_tower.requires_grad_(False)
    model.model.vision_tower.conv_1x1.requires_grad_(True)
    assert model.train().model.vision_tower.training
    assert not model.eval().model.vision_tower.training


@pytest.mark.parametrize("vision", [{}, {"vision_config": MOBILENET, "vision_feature_layer": -1}])
def test_half_precision_takes_pictures_as_the_processor_gives_them(vision):
    model = tiny_model(**vision).to(torch.bfloat16)
    processor = tiny_processor(side=64, patch_size=32) if vision else tiny_processor()
    assert model(**encode(processor, [question()])).logits.dtype == torch.bfloat16


def test_two_images_in_one_prompt_are_two_images(model, processor):
    inputs = encode(processor, [question("Which is real?", 0, 1)])
    single = [encode(processor, [question("Which is real?", seed)]) for seed in (0, 1)]
    expected = torch.cat([visual_tokens(model, one) for one in single])
    torch.testing.assert_close(visual_tokens(model, inputs), expected)
    swapped = encode(processor, [question("Which is real?", 1, 0)])
    assert not torch.allclose(model(**inputs).logits, model(**swapped).logits)


def test_text_alone_is_answered_by_the_language_model(model):
    ids = torch.tensor([[5, 6, 7]])
    expected = model.lm_head(model.get_decoder()(input_ids=ids).last_hidden_state)
    assert torch.equal(model(input_ids=ids).logits, expected)


def test_features_encoded_before_give_the_same_logits(model, inputs):
    pictures = {name: inputs[name] for name in ("pixel_values", "sav_values")}
    rest = {name: value for name, value in inputs.items() if name not in pictures}
    features = model.get_image_features(**pictures)
    assert torch.equal(model(**rest, mm_encoder_outputs={"image": features}).logits, model(**inputs).logits)


def test_embeddings_instead_of_ids_give_the_same_logits(model, inputs):
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    assert torch.equal(model(**rest, inputs_embeds=embeds).logits, model(**inputs).logits)


def test_only_the_asked_for_positions_get_logits(model, inputs):
    whole = model(**inputs).logits
    torch.testing.assert_close(model(**inputs, logits_to_keep=1).logits, whole[:, -1:])
    places = torch.tensor([0, 3])
    torch.testing.assert_close(model(**inputs, logits_to_keep=places).logits, whole[:, places])
    own = torch.tensor([[0, 3], [1, 2]])
    torch.testing.assert_close(
        model(**inputs, logits_to_keep=own).logits, torch.stack([row[at] for row, at in zip(whole, own, strict=True)])
    )
    flags = torch.zeros(whole.shape[:2], dtype=torch.bool)
    flags[0, 2] = flags[1, 4] = True
    torch.testing.assert_close(model(**inputs, logits_to_keep=flags).logits, torch.stack([whole[0, 2], whole[1, 4]]))


def test_gradient_checkpointing_changes_no_gradient(inputs):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        torch.manual_seed(1)
        model(**inputs, labels=inputs["input_ids"], use_cache=False).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"pvtm_mask_prob": 0.5},
        {"pvtm_mask_prob": 0.5, "pvtm_scope": "per_stream", "vision_token_budget": 5},
        {"pvtm_mask_prob": 0.5, "connector": "gac", "gac_num_queries": 8, "gac_depth": 1, "vision_token_budget": 5},
        {"pvtm_mask_prob": 0.5, "vision_config": MOBILENET, "vision_feature_layer": -1},
    ],
)
def test_training_compiles_as_one_graph(changes):
    torch.compiler.reset()
    mobile = "vision_config" in changes
    model = tiny_model(**changes).train()
    processor = tiny_processor(
        side=64 if mobile else 28,
        patch_size=32 if mobile else PATCH,
        vision_token_budget=changes.get("vision_token_budget"),
    )
    inputs = encode(processor, [question("Real?", 0), question("Is it a spoof?", 1)])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    compiled(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert model.model.pvtm.mask_embedding.grad.abs().sum() > 0


def test_the_hooks_of_other_libraries_find_their_parts(model):
    assert model.get_encoder(modality="image") is model.model.vision_tower
    assert model.get_decoder() is model.model.language_model
    assert model.base_model is model.model
    assert "image" in model.input_modalities
    assert model._supports_attention_backend
    assert model._can_compile_fullgraph
    assert model._no_split_modules >= {"Phi3DecoderLayer", "SiglipEncoderLayer"}


def test_resizing_the_embeddings_resizes_head_and_configuration():
    model = tiny_model()
    model.resize_token_embeddings(420)
    assert model.lm_head.out_features == model.config.text_config.vocab_size == 420
    assert model(input_ids=torch.tensor([[419]])).logits.shape == (1, 1, 420)


def test_tied_embeddings_are_one_tensor_also_after_loading(tmp_path):
    model = tiny_model(text_config={**TEXT, "tie_word_embeddings": True})
    model.save_pretrained(tmp_path)
    for each in (model, FaceShieldForConditionalGeneration.from_pretrained(tmp_path)):
        assert each.lm_head.weight is each.get_input_embeddings().weight


def test_saving_and_loading_keeps_every_weight_and_setting(model, inputs, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = FaceShieldForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    assert loaded.generation_config.suppress_tokens == [model.config.image_token_id]
    headless = FaceShieldModel.from_pretrained(tmp_path)
    assert torch.equal(headless(**inputs).last_hidden_state, model.model(**inputs).last_hidden_state)


def test_a_missing_placeholder_is_refused_with_both_numbers(model, inputs):
    ids = inputs["input_ids"].clone()
    ids[0, (ids[0] == model.config.image_token_id).nonzero()[0]] = 5
    with pytest.raises(ValueError, match=r"do not match: got 15 image tokens, expected 16 \(2 image\(s\) of 8 tokens"):
        model(**{**inputs, "input_ids": ids})


def test_an_image_too_few_is_refused_with_both_numbers(model, inputs):
    fewer = {name: value[:1] if "values" in name else value for name, value in inputs.items()}
    with pytest.raises(ValueError, match="features and image tokens do not match: got 16 image tokens, expected 8"):
        model(**fewer)


def test_a_picture_of_another_size_is_refused_with_both_numbers(inputs):
    tower = {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = tiny_model(vision_config={**tower, "image_size": 14, "patch_size": 14}, vision_feature_layer=-1)
    pictures = {name: inputs[name][..., :14, :14] for name in ("pixel_values", "sav_values")}
    with pytest.raises(ValueError, match="got 16 image tokens, expected 4"):
        model(**{**inputs, **pictures})


def test_a_forgotten_spoof_aware_view_is_refused_with_the_remedy(model, inputs):
    rest = {name: value for name, value in inputs.items() if name != "sav_values"}
    for use in (model, model.model, model.score, lambda **kwargs: model.generate(**kwargs, max_new_tokens=1)):
        with pytest.raises(ValueError, match="without sav_values, but this model has use_sav=True"):
            use(rest) if use == model.score else use(**rest)


def test_an_unexpected_spoof_aware_view_is_refused_with_the_remedy(inputs):
    with pytest.raises(ValueError, match="use an image processor with do_sav=False"):
        tiny_model(use_sav=False)(**inputs)


def test_views_of_different_size_are_refused_with_both_shapes(model, inputs):
    with pytest.raises(ValueError, match=r"shape \(2, 3, 28, 28\) and sav_values \(1, 3, 28, 28\)"):
        model(**{**inputs, "sav_values": inputs["sav_values"][:1]})


def test_ids_and_embeddings_together_or_none_of_them_are_refused(model, inputs):
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    for given in ({"inputs_embeds": embeds, "input_ids": inputs["input_ids"]}, {}):
        with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
            model(**given)


def test_pictures_and_encoded_features_together_are_refused(model, inputs):
    features = model.get_image_features(inputs["pixel_values"], inputs["sav_values"])
    with pytest.raises(ValueError, match="either pixel_values or mm_encoder_outputs"):
        model(**inputs, mm_encoder_outputs={"image": features})
    with pytest.raises(ValueError, match="either pixel_values or mm_encoder_outputs"):
        model.generate(**inputs, mm_encoder_outputs={"image": features})


def test_the_widths_of_a_feature_map_tower_are_found_without_memory():
    with torch.device("meta"):
        model = FaceShieldForConditionalGeneration(tiny_config(vision_config=MOBILENET, vision_feature_layer=-1))
    assert model.model.multi_modal_projector.linear_1.in_features == 1280
