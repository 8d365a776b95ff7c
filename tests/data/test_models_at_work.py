"""Local captioners and CLIP towers do their part in a build: tiny random ones, and the embedded checkpoint served."""

import io
import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch


datasets = pytest.importorskip("datasets", reason="needs the train extra")

import yaml  # noqa: E402
from data.build_parts import clear, settings, tree, turned  # noqa: E402
from data.chat_server import chat_server  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from tiny_checkpoint import make_tiny_checkpoint  # noqa: E402
from toy_tokenizers import toy_tokenizer  # noqa: E402
from transformers import (  # noqa: E402
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
)

from faceshield_hf.data.build.run import build_dataset  # noqa: E402
from faceshield_hf.data.filters.clip_score import ClipScorer, first_sentences  # noqa: E402
from faceshield_hf.data.instruct.assistants import AssistantConfig, Reply, Request  # noqa: E402
from faceshield_hf.data.instruct.local import LocalAssistant  # noqa: E402
from faceshield_hf.data.instruct.scf import as_interpretation, spoof_caption_turns, write_interpretations  # noqa: E402
from faceshield_hf.detector import FaceShield  # noqa: E402


RECIPES = Path(__file__).parents[2] / "recipes"
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def picture(seed=0, size=(40, 30)):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def tiny_captioner(tmp_path_factory):
    """A random FaceShield checkpoint, which is an image-text-to-text model like any other."""
    return make_tiny_checkpoint(tmp_path_factory.mktemp("captioner") / "tiny")


@pytest.fixture(scope="module", params=["clip", "siglip"])
def two_towers(request, tmp_path_factory):
    """A random CLIP or SigLIP on disk."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = toy_tokenizer("phi3")
    text = SIZES | {"vocab_size": len(tokenizer) + 8, "max_position_embeddings": 16, "eos_token_id": 2}
    vision = SIZES | {"image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    if request.param == "clip":
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
        sides = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        processor = CLIPProcessor(CLIPImageProcessorPil(**sides), tokenizer)
    else:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        processor = SiglipProcessor(SiglipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def test_the_score_is_the_cosine_of_the_models_embeddings(two_towers):
    scorer = ClipScorer(two_towers, batch_size=2, device="cpu")
    pictures = [Image.open(io.BytesIO(picture(i))) for i in range(3)]
    texts = ["A face.", "A hand on a wall.", "A face."]
    scores = scorer.score(pictures, texts)
    words = scorer._processor.tokenizer(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    pixels = scorer._processor.image_processor(images=pictures, return_tensors="pt")
    with torch.no_grad():
        outputs = scorer._model(**words, **pixels)
    expected = [float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in
                zip(outputs.image_embeds.numpy(), outputs.text_embeds.numpy(), strict=True)]  # fmt: skip
    assert scores == pytest.approx(expected, abs=1e-4)


def test_of_a_long_description_whole_sentences_are_scored():
    count = lambda text: len(text.split())  # noqa: E731
    assert first_sentences("One two. Three four. Five.", count, 4) == "One two. Three four."
    assert first_sentences("One two three. Four.", count, 2) == "One two three."


def test_the_clip_filter_keeps_what_fits_and_counts_it(two_towers, images, tmp_path):
    def build(name, threshold):
        clip = {"model": two_towers, "threshold": threshold}
        config = settings(images, tmp_path / name, tasks={"describe": 1}, filters={"clip": clip}, paraphrase={})
        return build_dataset(config, progress=False)

    assert build("all", -1)["filters"]["clip"] == {"seen": 24, "passed": 24}
    rows = datasets.load_dataset(str(tmp_path / "all"), split="train", cache_dir=str(tmp_path / "cache"))
    scores = sorted(row["clip_score"] for row in rows["provenance"])
    middle = (scores[11] + scores[12]) / 2
    counts = build("half", middle)
    assert counts["filters"]["clip"] == {"seen": 24, "passed": 12}
    assert counts["records"] == 12
    assert sum(counts["skipped"]["clip"].values()) == 12


def test_a_model_without_a_text_tower_is_refused(tiny_captioner):
    with pytest.raises(ValueError, match="can't be loaded as a CLIP or SigLIP"):
        ClipScorer(str(tiny_captioner), device="cpu")


def requests(count=3):
    return [Request("Be brief.", f"Question {i}?", picture(i), (("Q", "A"),), max_tokens=6) for i in range(count)]


def test_a_local_model_answers_in_batches_as_it_would_alone(tiny_captioner, tmp_path):
    def answers(name, size):
        config = AssistantConfig("local", model=str(tiny_captioner), temperature=0.0, batch_size=size)
        return [reply.text for reply in LocalAssistant(config, str(tmp_path / name), device="cpu").reply(requests())]

    together = answers("a", 3)
    assert all(together)
    assert answers("b", 1) == together


def test_a_resumed_local_model_says_what_an_unbroken_one_says(tiny_captioner, tmp_path, monkeypatch):
    config = AssistantConfig("local", model=str(tiny_captioner), temperature=1.0, batch_size=2)
    whole = LocalAssistant(config, str(tmp_path / "a"), device="cpu").reply(requests(4))
    LocalAssistant(config, str(tmp_path / "b"), device="cpu").reply(requests(4)[:2])
    # One answer of a batch was not stored any more when the process was killed.
    next((tmp_path / "b").rglob("*.json")).unlink()
    resumed = LocalAssistant(config, str(tmp_path / "b"), device="cpu")
    assert resumed.reply(requests(4)) == whole
    monkeypatch.setattr(resumed, "_generate", lambda *_: pytest.fail("asked again"))
    assert resumed.reply(requests(4)) == whole


def test_another_size_limit_asks_a_local_model_anew(tiny_captioner, tmp_path, monkeypatch):
    config = AssistantConfig("local", model=str(tiny_captioner), temperature=0.0)
    LocalAssistant(config, str(tmp_path), device="cpu").reply(requests(1))
    smaller = LocalAssistant(replace(config, max_side=16), str(tmp_path), device="cpu")
    asked = []
    monkeypatch.setattr(smaller, "_generate", lambda requests, digest: [asked.append(r) or "anew" for r in requests])
    assert [reply.text for reply in smaller.reply(requests(1))] == ["anew"]
    assert len(asked) == 1


def test_a_local_model_sees_images_upright_and_on_white(tiny_captioner, tmp_path):
    assistant = LocalAssistant(AssistantConfig("local", model=str(tiny_captioner)), str(tmp_path), device="cpu")
    shown = [
        assistant._conversation(Request("s", "q", content))[-1]["content"][0]["image"]
        for content in (turned(), clear())
    ]
    assert shown[0].size == (48, 64)
    assert shown[1].getpixel((0, 0)) == (255, 255, 255)


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match="can't be loaded as an image-text-to-text model"):
        LocalAssistant(AssistantConfig("local", model=str(tmp_path / "none")), str(tmp_path), device="cpu")


def test_the_embedded_checkpoint_behind_an_endpoint_writes_a_data_set(images, tmp_path, reachable_loopback):
    detector = FaceShield.from_pretrained(device="cpu")

    def answer(asked):
        import base64

        content = asked["messages"][-1]["content"]
        image = Image.open(io.BytesIO(base64.b64decode(content[0]["image_url"]["url"].split(",")[1])))
        return detector.detect(image, tasks=["reasoning"]).answers["reasoning"]

    with chat_server(answer) as server:
        assistant = {"kind": "endpoint", "model": "faceshield-tiny", "base_url": server.url, "concurrency": 1}
        config = settings(
            images, tmp_path / "out", tasks={"coarse": 1, "reasoning": 1}, limit=6, assistant=assistant, paraphrase={}
        )
        counts = build_dataset(config, progress=False)
        assert len(server.requests) == 6
    left_out = sum(sum(part.values()) for part in counts["skipped"].values())
    # It answers from pictures of noise, so mostly wrongly: whatever it says is a record or a named loss.
    assert counts["records"] + left_out == 12
    assert counts["task"]["coarse"] == 6


def test_captions_become_judgement_and_interpretation(images, tmp_path):
    build_dataset(settings(images, tmp_path / "c", tasks={"describe": 1}, paraphrase={}), progress=False)
    assert write_interpretations(tmp_path / "c", tmp_path / "i") == {"captions": 24, "contradicting": 0}
    rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "i" / "data" / "*.parquet"), split="train",
                                 cache_dir=str(tmp_path / "cache"))  # fmt: skip
    for row in rows.remove_columns("image"):
        caption = row["answer"].split(". ", 1)[1]
        assert row["answer"] == as_interpretation(caption, row["attack_type"])
    assert write_interpretations(tmp_path / "c", tmp_path / "i")["captions"] == 24


def test_the_scf_recipe_runs_from_captions_to_interpretations(images, tiny_captioner, tmp_path, monkeypatch, capsys):
    values = yaml.safe_load((RECIPES / "build-dataset" / "scf.yaml").read_text())
    values["caption"] |= {"limit": 12, "assistant": {"kind": "local", "model": str(tiny_captioner)}}
    values["finetune"] = {"max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True, "save_strategy": "no"}
    (tmp_path / "scf.yaml").write_text(yaml.safe_dump(values))
    main = runpy.run_path(str(RECIPES / "scf.py"))["main"]
    arguments = [str(tmp_path / "scf.yaml"), "--inputs", str(images), "--out", str(tmp_path / "out")]
    ask, models = LocalAssistant.reply, []

    def captioned(self, requests):
        # The model is asked, as always; a random one names no medium, so words of every one are put before its own.
        models.append(self.config.model)
        words = "Paper, paint, ink, glasses, a mask, plastic, a panel, eyes, lips and skin are seen."
        short = [replace(request, max_tokens=4) for request in requests]
        return [Reply(f"{words} {len(reply.text)} letters were said.") for reply in ask(self, short)]

    monkeypatch.setattr(LocalAssistant, "reply", captioned)
    main(arguments)
    assert set(models) == {str(tiny_captioner), str(tmp_path / "out" / "captioner")}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["general"] == {"seen": 12, "passed": 12}
    assert report["interpretations"]["captions"] == report["spoof-aware"]["passed"] == 12
    rows = datasets.load_dataset(str(tmp_path / "out" / "interpretations"), split="train",
                                 cache_dir=str(tmp_path / "cache"))  # fmt: skip
    assert set(rows["task"]) == {"fine"}
    # Only attacks were learnt from, and the captioner did change.
    assert len(spoof_caption_turns(tmp_path / "out" / "general")) == 11
    one, two = (load_file(folder / "model.safetensors") for folder in (tiny_captioner, tmp_path / "out" / "captioner"))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    before = tree(tmp_path / "out" / "interpretations")
    main(arguments)
    assert "[captioner] done before" in capsys.readouterr().out
    assert tree(tmp_path / "out" / "interpretations") == before
    values["finetune"] |= {"learning_rate": 0.5}
    (tmp_path / "scf.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ValueError, match=r"training\.learning_rate was .* and is now 0\.5"):
        main(arguments)
