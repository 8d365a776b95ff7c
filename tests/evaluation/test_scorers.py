"""The systems that can be judged."""

import pytest
import torch
from evaluation_helpers import read, write_images
from PIL import Image
from tiny import face
from tiny_checkpoint import make_tiny_checkpoint, shared_shield, shield, tiny_folder  # noqa: F401
from tokenizers.processors import TemplateProcessing
from toy_tokenizers import toy_tokenizer
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
    SiglipTextConfig,
    SiglipVisionConfig,
)

from faceshield_hf.evaluation.clip import REAL_PROMPTS, SPOOF_PROMPTS, ClipScorer
from faceshield_hf.evaluation.resnet import ResNetScorer, train_resnet
from faceshield_hf.evaluation.scorers import CsvScorer, FaceShieldScorer, blank_score
from faceshield_hf.evaluation.zero_shot import PROMPTS, ZeroShotScorer, _tokens
from faceshield_hf.tasks_faceshield import Task


def table(tmp_path, text):
    path = tmp_path / "other system.csv"
    path.write_text(text)
    return path


def test_a_csv_names_images_by_the_end_of_their_path(tmp_path):
    scorer = CsvScorer(table(tmp_path, "image,score,coarse\na/1.png,0.25,The face in the image is real.\n2.png,1,\n"))
    first, second = scorer.say(["/data/a/1.png", "elsewhere/2.png"], [])
    assert (first.score, first.answers) == (0.25, {"coarse": "The face in the image is real."})
    assert (second.image, second.score, second.answers) == ("elsewhere/2.png", 1.0, {})
    with pytest.raises(ValueError, match="no row for the image"):
        scorer.say(["/data/b/1.png"], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,score\na,1\n", "but not image"),
        ("image,score\na,1.5\n", "line 2: the score is 1.5; expected p"),
        ("image,score\na,nan\n", "line 2: the score is nan; expected p"),
        ("image,score\na,high\n", "line 2: the score is 'high'"),
        ("image,score\na\n", "line 2: the score is None; expected p"),
        ("score,image\n1\n", "line 2: the row names no image"),
        ("image,score\na,1\na,0\n", "line 3: the image a is there twice"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        CsvScorer(table(tmp_path, text))


def test_a_detector_is_asked_only_the_tasks_that_are_wanted(shield):  # noqa: F811
    (said,) = FaceShieldScorer(shield, [Task.COARSE]).say(["a"], [face(1)])
    assert said.score == pytest.approx(shield.score(face(1)), abs=1e-5)
    assert list(said.answers) == ["coarse"]


def test_answers_of_a_checkpoint_are_told_from_those_of_any_other_state_of_it(tmp_path, shield):  # noqa: F811
    from faceshield_hf.detector import FaceShield

    folder = make_tiny_checkpoint(tmp_path / "again")

    def states():
        again = FaceShield.from_pretrained(folder, device="cpu")
        yield again  # loaded from elsewhere: the same
        again.model.config.score_threshold = 0.123  # decides after the score
        yield again
        again.model.config.score_temperature *= 3
        yield again
        again.processor.image_processor.do_sav = False
        yield again
        with torch.no_grad():
            again.model.lm_head.weight[-1, -1] += 1e-3
        yield again

    marks = [FaceShieldScorer(state).made_by()["state"] for state in states()]
    assert marks[0] == marks[1] == FaceShieldScorer(shield).made_by()["state"]
    assert len(set(marks)) == 4


def test_the_blank_answer_is_the_mean_log_odds_of_three_blanks(shield):  # noqa: F811
    scorer = FaceShieldScorer(shield, [])
    odds = [torch.tensor(shield.score(Image.new("RGB", (256, 256), (v,) * 3))).logit() for v in (0, 127, 255)]
    assert blank_score(scorer) == pytest.approx(torch.stack(odds).mean().sigmoid().item(), abs=1e-4)


def test_a_table_of_scores_has_no_blank_answer(tmp_path):
    with pytest.raises(ValueError, match="leave out --debias"):
        blank_score(CsvScorer(table(tmp_path, "image,score\na,1\n")))


SIDES = {"height": 16, "width": 16}
SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def two_towers(kind, folder):
    """A random CLIP or SigLIP with a word tokenizer, saved."""
    tokenizer = toy_tokenizer("phi3")
    text = {**SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 64}
    text |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    vision = {**SMALL, "image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    if kind == "clip":
        config = CLIPConfig(
            text_config=CLIPTextConfig(**text).to_dict(),
            vision_config=CLIPVisionConfig(**vision).to_dict(),
            projection_dim=16,
        )
        model, processor = (
            CLIPModel(config),
            CLIPProcessor(CLIPImageProcessorPil(size=SIDES, crop_size=SIDES), tokenizer),
        )
    else:
        config = SiglipConfig(
            text_config=SiglipTextConfig(**text).to_dict(), vision_config=SiglipVisionConfig(**vision).to_dict()
        )
        model, processor = SiglipModel(config), SiglipProcessor(SiglipImageProcessorPil(size=SIDES), tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.eval(), processor


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_two_towers_compare_an_image_with_the_mean_of_six_and_six_sentences(kind, tmp_path):
    model, processor = two_towers(kind, tmp_path)
    scorer = ClipScorer(str(tmp_path))
    said = scorer.say(["a", "b"], [face(0), face(1)])
    inputs = processor(
        text=[*REAL_PROMPTS, *SPOOF_PROMPTS],
        images=[face(0), face(1)],
        padding="max_length",
        max_length=64,
        return_tensors="pt",
    )
    with torch.no_grad():
        out = model(**inputs)
    sides = torch.stack([out.text_embeds[:6].mean(0), out.text_embeds[6:].mean(0)])
    cosine = torch.nn.functional.cosine_similarity(out.image_embeds[:, None], sides[None], dim=-1)
    expected = (model.logit_scale.exp() * cosine).softmax(-1)[:, 1]
    assert [s.score for s in said] == pytest.approx(expected.tolist(), abs=1e-5)
    assert said[0].score != said[1].score
    assert said[0].answers == {}


def test_any_image_text_model_is_asked_and_scored_by_its_two_sentences(tiny_folder, shield):  # noqa: F811
    scorer = ZeroShotScorer(str(tiny_folder), [Task.COARSE], device="cpu")
    (said,) = scorer.say(["a"], [face(3, (60, 60))])
    assert list(said.answers) == ["coarse"]
    content = [{"type": "image", "image": face(3, (60, 60))}, {"type": "text", "text": PROMPTS[Task.COARSE]}]
    inputs = shield.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    # The model's own scoring of its two answers after the same prompt, before its temperature.
    own = shield.model.score(inputs, answer_ids=shield.processor.answer_ids).logit()
    expected = own.item() * shield.model.config.score_temperature
    assert torch.tensor(said.score, dtype=torch.float64).logit().item() == pytest.approx(expected, abs=0.05)
    written = shield.model.generate(**inputs, do_sample=False, max_new_tokens=32)
    text = shield.processor.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said.answers["coarse"] == text.strip()


def test_a_first_token_that_the_template_writes_is_not_written_twice():
    class Processor:
        tokenizer = toy_tokenizer("llama3")

        def __call__(self, images, text, return_tensors, **options):
            return self.tokenizer(text, return_tensors=return_tensors, **options)

    processor = Processor()
    start = processor.tokenizer.bos_token
    processor.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, processor.tokenizer.bos_token_id)]
    )
    for text in ("The face", f"{start}The face"):
        ids = _tokens(processor, face(0), text)["input_ids"][0].tolist()
        assert ids.count(processor.tokenizer.bos_token_id) == 1


def test_zero_shot_has_prompts_for_four_tasks_only(tiny_folder):  # noqa: F811
    with pytest.raises(ValueError, match="no zero-shot prompt for"):
        ZeroShotScorer(str(tiny_folder), [Task.COT])


def test_a_resnet_learns_what_it_is_shown_and_is_not_trained_twice(tmp_path):
    folder = write_images(tmp_path / "images", 8, side=32)
    samples = read(folder)
    for sample in samples:  # bona fide dark, print gray, replay bright
        value = {"Bonafide": 20, "Print": 128, "Replay": 235}[sample.attack_type.value]
        Image.new("RGB", (32, 32), (value,) * 3).save(sample.path)
    made = train_resnet("tiny", samples, tmp_path / "resnet", epochs=12, batch_size=4, learning_rate=3e-3, side=32)
    scorer = ResNetScorer(made)
    said = scorer.say([str(s.path) for s in samples], [Image.open(s.path).convert("RGB") for s in samples])
    live = [s.score for s, sample in zip(said, samples, strict=True) if sample.is_live]
    spoof = [s.score for s, sample in zip(said, samples, strict=True) if not sample.is_live]
    assert max(live) < min(spoof)
    assert set(said[0].answers) == {"coarse", "fine"}
    before = (made / "model.safetensors").stat().st_mtime_ns
    again = {"epochs": 12, "batch_size": 4, "learning_rate": 3e-3, "side": 32}
    assert train_resnet("tiny", samples, tmp_path / "resnet", **again) == made
    assert (made / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"belongs to another run \(epochs, seed differ\)"):
        train_resnet("tiny", samples, tmp_path / "resnet", **again | {"epochs": 1, "seed": 9})
    with pytest.raises(ValueError, match=r"\(images, images_sha256 differ\)"):
        train_resnet("tiny", samples[:6], tmp_path / "resnet", **again)


def test_an_unknown_resnet_size_is_refused():
    from faceshield_hf.evaluation.resnet import resnet_config

    with pytest.raises(ValueError, match="expected tiny, 18, 50"):
        resnet_config("34")
