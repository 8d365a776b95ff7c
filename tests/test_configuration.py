"""What FaceShieldConfig promises: defaults, any parts, values that fit each other, and a faithful round trip."""

import pytest
from tiny import MOBILENET, TEXT, VISION, tiny_config
from transformers import AutoConfig, LlamaConfig, MobileNetV2Config, Phi3Config, SiglipConfig, SiglipTextConfig

from faceshield_hf import FaceShieldConfig


def test_the_defaults_are_siglip_and_phi3_with_the_papers_values():
    config = FaceShieldConfig()
    assert (config.vision_config.model_type, config.text_config.model_type) == ("siglip_vision_model", "phi3")
    assert (config.vision_config.image_size, config.vision_config.patch_size) == (384, 14)
    assert (config.vision_feature_layer, config.use_sav, config.connector) == (-2, True, "mlp")
    assert (config.pvtm_keep_ratio, config.pvtm_mask_prob, config.pvtm_scope) == (0.1, 0.05, "joint")
    assert (config.score_temperature, config.score_threshold, config.score_margin) == (1.0, 0.5, 0.0)
    assert (config.vision_token_budget, config.projector_downsample, config.gac_num_queries) == (None, 1, 96)
    assert config.image_token_id < config.text_config.vocab_size


@pytest.mark.parametrize("vision", [MOBILENET, MobileNetV2Config(tf_padding=False)])
def test_any_tower_and_language_model_are_taken_as_dictionary_or_configuration(vision):
    config = FaceShieldConfig(vision_config=vision, text_config=LlamaConfig(vocab_size=50), image_token_id=3)
    assert config.vision_config.model_type == "mobilenet_v2"
    assert config.vision_config.tf_padding is False
    assert config.text_config.model_type == "llama"


def test_a_connector_that_reads_all_layers_names_none(tmp_path):
    config = tiny_config(connector="gac", gac_num_queries=12, gac_depth=1, vision_feature_layer=1)
    assert config.vision_feature_layer is None
    config.save_pretrained(tmp_path)
    assert FaceShieldConfig.from_pretrained(tmp_path).vision_feature_layer is None


@pytest.mark.parametrize(("use_sav", "views"), [(True, 2), (False, 1)])
def test_the_spoof_aware_view_is_a_second_view(use_sav, views):
    assert tiny_config(use_sav=use_sav).num_views == views


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"vision_feature_layer": [-2, -1], "vision_token_budget": 5, "use_sav": False},
        {"connector": "gac", "gac_num_queries": 12, "gac_depth": 1},
        {"pvtm_prompt_source": "text_tower", "prompt_tower_config": SiglipTextConfig(hidden_size=32)},
    ],
)
def test_saving_and_loading_changes_nothing(tmp_path, changes):
    config = tiny_config(**changes)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert {**loaded.to_dict(), "_name_or_path": ""} == config.to_dict()
    assert FaceShieldConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


def test_tied_embeddings_of_the_language_model_are_taken_over():
    tied = Phi3Config(**{k: v for k, v in TEXT.items() if k != "model_type"}, tie_word_embeddings=True)
    assert tiny_config(text_config=tied).tie_word_embeddings is True
    assert tiny_config().tie_word_embeddings is False


def test_the_configuration_of_another_model_is_refused_by_name():
    with pytest.raises(ValueError, match='model_type "llava", expected "faceshield"'):
        FaceShieldConfig.from_dict({"model_type": "llava"})


def test_a_whole_two_tower_model_as_vision_part_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r'pass its "vision_config" alone'):
        tiny_config(vision_config=SiglipConfig())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_token_id": 400}, "image_token_id is 400, but the language model has 400 embedding rows"),
        ({"turn_end_token_id": -1}, "turn_end_token_id is -1"),
        ({"image_token_id": 6, "turn_end_token_id": 6}, "the two must differ"),
        ({"real_answer_ids": []}, "real_answer_ids is \\[\\]"),
        ({"spoof_answer_ids": [3, 400]}, "below 400"),
        ({"connector": "linear"}, 'connector is "linear": it must be one of mlp, gac'),
        ({"vision_feature_layer": []}, r"vision_feature_layer is \[\]: name at least one layer"),
        ({"vision_feature_layer": None}, "vision_feature_layer is None: name at least one layer"),
        ({"projector_downsample": 0}, "projector_downsample is 0: it must be at least 1"),
        ({"gac_depth": 0}, "gac_depth is 0"),
        ({"projector_grid": [8]}, r"projector_grid is \[8\]: it must be \[rows, columns\]"),
        ({"projector_grid": [8, 0]}, "each at least 1"),
        ({"connector": "gac", "projector_grid": [8, 8]}, "queries have no place in the image"),
        ({"connector": "gac", "projector_downsample": 2}, "use projector_downsample=1 with it"),
        ({"connector": "gac", "gac_num_queries": 8, "vision_token_budget": 9}, "gives 8 tokens an image"),
        ({"connector": "gac", "pvtm_scope": "per_stream"}, 'needs connector="mlp"'),
        ({"pvtm_prompt_source": "labels"}, "must be one of language_model, text_tower"),
        ({"pvtm_scope": "both"}, "must be one of joint, per_stream"),
        ({"pvtm_keep_ratio": 1.1}, "pvtm_keep_ratio is 1.1: it must lie between 0 and 1"),
        ({"pvtm_mask_prob": -0.1}, "pvtm_mask_prob is -0.1"),
        ({"vision_token_budget": 0}, "vision_token_budget is 0: it must be at least 1, or None"),
        ({"pvtm_prompt_source": "text_tower"}, "needs prompt_tower_config"),
        (
            {
                "pvtm_prompt_source": "text_tower",
                "prompt_tower_config": SiglipTextConfig(),
                "vision_feature_layer": [-1, -2],
            },
            "an integer vision_feature_layer",
        ),
        ({"score_temperature": 0.0}, "score_temperature is 0.0: it must be above 0"),
        ({"score_threshold": 1.5}, "score_threshold is 1.5"),
        ({"score_margin": -0.5}, "score_margin is -0.5"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_what_came_and_what_is_accepted(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**changes)


def test_a_tuple_of_layers_is_a_list_of_layers():
    assert tiny_config(vision_feature_layer=(-2, -1)).vision_feature_layer == [-2, -1]
    assert tiny_config(projector_grid=(2, 3)).projector_grid == [2, 3]


def test_the_tower_may_be_named_by_its_values_alone():
    without_type = {key: value for key, value in VISION.items() if key != "model_type"}
    assert tiny_config(vision_config=without_type).vision_config.model_type == "siglip_vision_model"
