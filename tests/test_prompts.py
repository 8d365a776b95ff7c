"""The question for the prompt tower: from the processor through training, saving, TRL and the detector."""

import subprocess
import sys

import pytest
import torch
from tiny import PATCH, SIDE, VISION, encode, face, question, tiny_config, tiny_processor
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
)

from faceshield_hf import FaceShieldForConditionalGeneration, FaceShieldProcessor
from faceshield_hf.composition_faceshield import compose_tokenizer
from faceshield_hf.detector import FaceShield
from faceshield_hf.prompts_faceshield import as_rows, question_ids


WORDS = ["<pad>", "<unk>", "is", "the", "face", "real", "where", "why", "image"]
LENGTH = 8
READER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": len(WORDS),
    "max_position_embeddings": LENGTH,
}
SPECIAL = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}


def reader():
    """A tokenizer of whole words, as different from the language model's as SigLIP's is."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


@pytest.fixture
def processor():
    return tiny_processor(prompt_length=LENGTH, prompt_reader=reader())


def model(**changes):
    torch.manual_seed(0)
    source = {"pvtm_prompt_source": "text_tower", "prompt_tower_config": SiglipTextConfig(**READER, **SPECIAL)}
    net = FaceShieldForConditionalGeneration(tiny_config(**source, **changes)).eval()
    for parameter in net.model.prompt_tower.parameters():  # a fresh tower answers every question almost alike
        torch.nn.init.normal_(parameter)
    return net


def written(ids):
    return [" ".join(WORDS[i] for i in row if i) for row in ids.tolist()]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([7, 7, 11, 12, 9, 13, 9], [11, 12]),
        ([7, 5, 9, 7, 11, 9], [11]),  # the last image's
        ([7, 11, 12], []),  # no end of turn: nothing tells question and answer apart
        ([11, 9], []),  # no image
        ([7, 9, 11, 9], []),
    ],
)
def test_the_question_stands_between_the_last_image_and_the_next_end_of_a_turn(row, expected):
    assert question_ids(row, image_token_id=7, turn_end_token_id=9) == expected


def test_without_a_turn_end_token_there_is_no_question():
    assert question_ids([7, 11, 9], image_token_id=7, turn_end_token_id=None) == []


def test_rows_of_ids_come_in_any_form():
    assert as_rows([1, 2]) == as_rows([[1, 2]]) == as_rows(torch.tensor([[1, 2]])) == [[1, 2]]


def test_the_processor_writes_each_rows_question_for_the_prompt_tower(processor):
    inputs = encode(processor, [question("is the face real", 0), question("where", 1)])
    assert written(inputs["prompt_input_ids"]) == ["is the face real", "where"]
    assert inputs["prompt_input_ids"].shape == (2, LENGTH)
    assert "prompt_input_ids" in processor.model_input_names


def test_a_long_question_is_cut_and_an_answer_is_never_part_of_it(processor):
    asked = question("why " * 20)
    answered = [*asked, {"role": "assistant", "content": [{"type": "text", "text": "the face"}]}]
    first, second = (
        encode(processor, [c], add_generation_prompt=False)["prompt_input_ids"] for c in (asked, answered)
    )
    assert written(first) == ["why " * (LENGTH - 1) + "why"]
    assert torch.equal(first, second)


def test_raw_text_lists_and_padding_on_either_side_give_the_same_questions(processor):
    turn_end = processor.tokenizer.convert_ids_to_tokens(compose_tokenizer(processor.tokenizer).turn_end_token_id)
    texts = [f"<image>is real{turn_end}", f"<image>where the face is real image{turn_end}"]
    pictures = [face(0), face(1)]
    as_lists = processor(images=pictures, text=texts)
    assert isinstance(as_lists["prompt_input_ids"], list)
    for side in ("left", "right"):
        batch = processor(images=pictures, text=texts, padding=True, padding_side=side, return_tensors="pt")
        assert batch["prompt_input_ids"].tolist() == as_lists["prompt_input_ids"]
        assert written(batch["prompt_input_ids"]) == ["is real", "where the face is real image"]


def test_text_without_images_and_processors_without_a_reader_ask_for_nothing(processor):
    assert "prompt_input_ids" not in processor(text="is real")
    plain = tiny_processor()
    assert "prompt_input_ids" not in encode(plain, [question()])
    assert plain.prompt_inputs([[1]]) == {}
    assert "prompt_input_ids" not in plain.model_input_names
    assert not any("prompt" in key for key in plain.to_dict())


def test_a_length_without_a_reader_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"prompt_length is 8, but there is no prompt_reader.*text_tower"):
        encode(tiny_processor(prompt_length=LENGTH), [question()])


def test_training_reads_the_processors_output_and_the_question_changes_what_matters(processor):
    net = model(pvtm_mask_prob=0.9, pvtm_keep_ratio=0.5).train()

    def weights(text):
        batch = encode(processor, [question(text)])
        out = net(**batch, labels=batch["input_ids"], output_vision_importance=True)
        out.loss.backward()
        return out.vision_importance

    first, again, second = weights("is the face real"), weights("is the face real"), weights("where image why")
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, rtol=1e-3)
    assert net.model.pvtm.mask_embedding.grad.abs().sum() > 0


def test_generate_score_and_batches_read_it_with_a_budget(processor):
    processor.vision_token_budget = 5
    net = model(vision_token_budget=5)
    conversations = [question("is the face real", 0), question("where the image", 1)]
    batch = encode(processor, conversations)
    greedy = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}
    together = net.generate(**batch, **greedy)[:, batch["input_ids"].shape[1] :]
    scores = net.score(batch)
    for i, conversation in enumerate(conversations):
        single = encode(processor, [conversation])
        assert torch.equal(net.generate(**single, **greedy)[0, single["input_ids"].shape[1] :], together[i])
        torch.testing.assert_close(net.score(single)[0], scores[i])


def test_saving_and_loading_keeps_the_reader(processor, tmp_path):
    model(vision_token_budget=5).save_pretrained(tmp_path)
    processor.vision_token_budget = 5
    processor.save_pretrained(tmp_path)
    asked = [question("is the face real")]
    expected = encode(processor, asked)["prompt_input_ids"]
    for loaded in (FaceShieldProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert loaded.prompt_length == LENGTH
        assert torch.equal(encode(loaded, asked)["prompt_input_ids"], expected)
    verdict = FaceShield.from_pretrained(tmp_path, device="cpu").detect(face(), tasks=["coarse"], quality=False)
    assert 0 <= verdict.score <= 1


def test_a_fresh_process_without_the_package_loads_the_reader_too(processor, tmp_path):
    model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    code = (
        "import sys; sys.modules['faceshield_hf'] = None\n"
        "from transformers import AutoProcessor\n"
        "p = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "print(p.prompt_inputs([[1]])['prompt_input_ids'].shape, type(p).__module__.split('.')[0])\n"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.stdout.strip() == f"torch.Size([1, {LENGTH}]) transformers_modules", run.stderr[-800:]


def test_two_tower_repositories_give_the_reader(tmp_path):
    vision, text = tmp_path / "siglip", tmp_path / "phi3"
    tower = {key: value for key, value in VISION.items() if key not in ("model_type", "vision_use_head")}
    SiglipModel(SiglipConfig(vision_config=tower, text_config=READER | SPECIAL)).save_pretrained(vision)
    reader().save_pretrained(vision)
    tiny_processor().tokenizer.save_pretrained(text)
    made = FaceShieldProcessor.from_vision_text_pretrained(
        str(vision), str(text), pvtm_prompt_source="text_tower", size={"height": SIDE, "width": SIDE}
    )
    assert (made.prompt_length, made.patch_size) == (LENGTH, PATCH)
    assert written(encode(made, [question("where")])["prompt_input_ids"]) == ["where"]
    with pytest.raises(ValueError, match="needs a two-tower checkpoint"):
        SiglipModel(SiglipConfig(vision_config=tower, text_config=READER | SPECIAL)).vision_model.save_pretrained(
            vision
        )
        FaceShieldProcessor.from_vision_text_pretrained(str(vision), str(text), pvtm_prompt_source="text_tower")


def test_trls_collator_carries_the_questions_into_a_training_step(processor):
    collator_module = pytest.importorskip("trl.trainer.sft_trainer")
    collate = collator_module.DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    rows = [
        {
            "images": [face(i)],
            "prompt": [{"role": "user", "content": text}],
            "completion": [{"role": "assistant", "content": "real"}],
        }
        for i, text in enumerate(["is the face real", "where"])
    ]
    batch = dict(collate(rows))
    assert written(batch["prompt_input_ids"]) == ["is the face real", "where"]
    net = model(pvtm_mask_prob=0.5).train()
    loss = net(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert net.model.pvtm.mask_embedding.grad is not None
