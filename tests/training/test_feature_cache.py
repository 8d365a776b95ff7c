"""Cached vision features: the same losses as pictures, computed once, shared by processes, refused when they'd lie."""

import json
import shutil
from pathlib import Path

import pytest
import torch


pytest.importorskip("trl", reason="needs the train extra")

from test_prompts import READER, reader
from tiny import face, tiny_model, tiny_processor
from transformers import SiglipTextConfig
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from faceshield_hf import savp_faceshield
from faceshield_hf.data.sft import load_sft
from faceshield_hf.training.feature_cache import (
    FeatureCache,
    FeatureCollator,
    check_frozen,
    fingerprint,
    use_feature_cache,
)
from faceshield_hf.training.stages import train_only


class OneProcess:
    """What `use_feature_cache` asks of accelerate."""

    is_main_process = True
    process_index = 0
    num_processes = 1

    def wait_for_everyone(self):
        pass


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Six records about three pictures, two of which are the same bytes under two names."""
    folder = tmp_path_factory.mktemp("records")
    for i in range(2):
        face(i).save(folder / f"{i}.png")
    shutil.copy(folder / "1.png", folder / "2.png")
    rows = [
        {"image": f"{i % 3}.png", "question": "Is it real?" + "!" * i, "answer": "It is a spoof." * (1 + i % 2)}
        for i in range(6)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def frozen(**changes):
    model = tiny_model(**changes)
    train_only(model, ["connector", "pvtm"])
    return model


def collator(processor):
    return DataCollatorForVisionLanguageModeling(processor=processor, completion_only_loss=True)


TOWER = SiglipTextConfig(**READER, bos_token_id=None, eos_token_id=None, pad_token_id=0)
OTHER_QUESTION = (
    {"pvtm_prompt_source": "text_tower", "prompt_tower_config": TOWER, "vision_token_budget": 3},
    {"prompt_length": READER["max_position_embeddings"], "prompt_reader": reader(), "vision_token_budget": 3},
)


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {}),
        ({"use_sav": False}, {"do_sav": False}),
        ({"connector": "gac", "gac_num_queries": 6}, {"num_query_tokens": 6}),
        ({"projector_downsample": 2}, {"projector_downsample": 2}),
        ({"vision_token_budget": 3}, {"vision_token_budget": 3}),
        OTHER_QUESTION,
    ],
    ids=["mlp", "rgb only", "gac", "folded", "budget", "text tower"],
)
def test_a_batch_from_the_cache_gives_the_loss_of_the_pictures(records, tmp_path, changes, settings):
    model, processor = frozen(**changes), tiny_processor(**settings)
    dataset = load_sft(str(records), "train")
    (keyed,), cache = use_feature_cache(tmp_path, model, processor, [dataset], OneProcess(), bf16=False)
    from_pictures = collator(processor)([dataset[i] for i in range(6)])
    from_cache = FeatureCollator(collator(processor), cache)([keyed[i] for i in range(6)])
    assert "pixel_values" not in from_cache
    same = {"input_ids", "attention_mask", "labels", "prompt_input_ids"} & set(from_pictures)
    assert ("prompt_input_ids" in same) == ("prompt_length" in settings)
    for name in same:
        assert torch.equal(from_cache[name], from_pictures[name]), name
    assert model(**from_cache).loss.item() == pytest.approx(model(**from_pictures).loss.item(), rel=1e-3)


def test_each_distinct_picture_is_computed_once_and_never_again(records, tmp_path):
    model, processor = frozen(), tiny_processor()
    dataset = load_sft(str(records), "train")
    (keyed,), _ = use_feature_cache(tmp_path, model, processor, [dataset], OneProcess(), bf16=False)
    assert len(set(keyed["image"])) == 2  # three files, two of equal content
    images = dict.fromkeys(keyed["image"], records / "0.png")
    assert FeatureCache(tmp_path, model, processor).fill(images) == 0


def test_processes_share_the_work_and_the_folder(records, tmp_path):
    model, processor = frozen(), tiny_processor()
    images = {f"{i:032x}": str(records / f"{i}.png") for i in range(3)}
    first, second = (FeatureCache(tmp_path, model, processor) for _ in range(2))
    assert first.fill(images, 0, 2) == 2  # keys 0 and 2
    assert second.fill(images, 1, 2) == 1  # key 1, though the other's work is there by now
    first.scan()
    for cache in (first, second):
        assert cache.read(list(images))["vision_features"].shape[0] == 3


def test_an_unfinished_shard_is_ignored_and_its_pictures_are_computed(records, tmp_path):
    model, processor = frozen(), tiny_processor()
    cache = FeatureCache(tmp_path, model, processor)
    (cache.folder / "tmp1234.part").write_bytes(b"cut off")
    assert cache.fill({"00": str(records / "0.png")}) == 1


def test_a_changed_tower_picture_size_or_code_never_finds_the_old_features(tmp_path):
    model, processor = frozen(), tiny_processor()
    before = fingerprint(model, processor, torch.float16)
    assert fingerprint(frozen(), processor, torch.float16) == before
    assert fingerprint(model, processor, torch.bfloat16) != before
    assert fingerprint(model, tiny_processor(side=56), torch.float16) != before
    changed = tmp_path / "savp_faceshield.py"
    changed.write_text(Path(savp_faceshield.__file__).read_text(encoding="utf-8") + "# another way\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(savp_faceshield, "__file__", str(changed))
        assert fingerprint(model, processor, torch.float16) != before
    with torch.no_grad():
        next(model.model.vision_tower.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(model, processor, torch.float16) != before


def test_a_tower_that_learns_is_refused():
    model = tiny_model()
    train_only(model, ["vision_tower", "connector"])
    with pytest.raises(ValueError, match="take vision_tower out of train_parts"):
        check_frozen(model)


def test_features_beyond_the_stored_type_are_refused(records, tmp_path):
    model = frozen()
    with torch.no_grad():
        for parameter in model.model.vision_tower.encoder.layers[0].layer_norm2.parameters():
            parameter.fill_(1e6)
    with pytest.raises(ValueError, match="set `bf16: true`"):
        FeatureCache(tmp_path, model, tiny_processor()).fill({"00": str(records / "0.png")})


def test_pictures_and_features_together_are_refused(inputs, model):
    with pytest.raises(ValueError, match="either pixel_values or mm_encoder_outputs or vision_features"):
        model(**inputs, vision_features=torch.zeros(2, 8, 32))
