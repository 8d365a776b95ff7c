"""The detector: one encoding for all tasks, answers that don't depend on the batch, chat and streaming that end."""

import dataclasses
import inspect
import threading

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from tiny_checkpoint import make_tiny_checkpoint

from faceshield_hf import FaceShield
from faceshield_hf.detector import MAX_NEW_TOKENS, TASKS
from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, Box, Task


pytest_plugins = ["tiny_checkpoint"]

# Short answers: the random model never ends its turn by itself.
LIMITS = {task: 6 + 2 * i for i, task in enumerate(Task)}


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    return [Image.fromarray(skimage.data.astronaut()), noise, Image.new("RGB", (50, 90), (10, 120, 200))]


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    monkeypatch.setattr("faceshield_hf.detector.MAX_NEW_TOKENS", LIMITS)


def full_inputs(shield, photo, question):
    """What anyone would do without the detector: one prompt, one image, the processor."""
    messages = [
        {"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": question}]},
    ]
    return shield.processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )


def full_answer(shield, photo, task):
    inputs = full_inputs(shield, photo, QUESTIONS[task][0])
    ids = shield.model.generate(**inputs, max_new_tokens=LIMITS[task], do_sample=False)
    return shield.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def count_calls(monkeypatch, owner, name):
    calls = []
    original = getattr(owner, name)

    def counted(*args, **kwargs):
        calls.append((args, kwargs))
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    return calls


def script(monkeypatch, shield, score, answers):
    """Make the model say what a test needs: one score and one answer a task for every image."""
    monkeypatch.setattr(
        shield,
        "_asked",
        lambda features, tasks: (
            [score] * len(features.pooler_output),
            [{t.value: answers[t] for t in tasks} for _ in features.pooler_output],
        ),
    )


# ---- one image ----


def test_the_image_is_encoded_once_for_all_tasks_and_the_score(shield, photos, monkeypatch):
    towers = count_calls(monkeypatch, shield.model.model.vision_tower, "forward")
    images = count_calls(monkeypatch, shield.processor.image_processor, "preprocess")
    shield.detect(photos[0], tasks=list(Task))
    assert (len(towers), len(images)) == (1, 1)


def test_answers_are_those_of_the_plain_processor_and_generate(shield, photos):
    verdict = shield.detect(photos[0], quality=False)
    assert verdict.answers == {task.value: full_answer(shield, photos[0], task) for task in TASKS}


def test_the_score_is_that_of_the_plain_processor_and_model(shield, photos):
    inputs = full_inputs(shield, photos[1], QUESTIONS[Task.COARSE][0])
    expected = shield.model.score(inputs).item()
    assert shield.score(photos[1]) == pytest.approx(expected, abs=1e-6)
    assert shield.detect(photos[1], tasks=(), quality=False).score == pytest.approx(expected, abs=1e-6)


def test_a_verdict_holds_the_score_the_answers_and_the_name(shield, photos, monkeypatch):
    answers = {
        Task.COARSE: "The face in the image is a spoof.",
        Task.FINE: "The face in the image is a Replay attack. A screen grid covers the face.",
        Task.REASONING: "The light is flat. Analyzing these attributes, we can conclude that the face in the image is "
        "a spoof (Replay).",
        Task.LOCALIZATION: "The spoof area is [0, 0, 999, 500].",
    }
    script(monkeypatch, shield, 0.75, answers)
    verdict = shield.detect(photos[0])
    assert (verdict.label, verdict.score, verdict.threshold, verdict.model) == ("spoof", 0.75, 0.5, "tiny")
    assert verdict.attack_type is AttackType.REPLAY
    assert verdict.boxes == (Box.from_grid(0, 0, 999, 500, "Replay"),)
    assert verdict.explanation == "The light is flat."
    assert verdict.answers == {task.value: text for task, text in answers.items()}
    assert verdict.quality == ()


def test_the_photo_is_checked_unless_told_not_to(shield, photos):
    assert shield.detect(photos[1], tasks=()).quality == ("no_face",)
    assert shield.detect(photos[1], tasks=(), quality=False).quality == ()


def test_without_tasks_nothing_is_generated(shield, photos, monkeypatch):
    calls = count_calls(monkeypatch, shield.model, "generate")
    assert shield.detect(photos[0], tasks=()).answers == {}
    assert not calls


def test_an_answer_does_not_depend_on_what_else_is_asked(shield, photos):
    alone = shield.detect(photos[0], tasks=[Task.COARSE], quality=False).answers["coarse"]
    beside = shield.detect(photos[0], tasks=[Task.COT, Task.COARSE], quality=False).answers["coarse"]
    assert alone == beside


@pytest.mark.parametrize("tasks", ["fine", ["fine"], (Task.FINE,), [Task.FINE, "fine"]])
def test_tasks_may_be_named_in_any_way(shield, photos, tasks):
    assert list(shield.detect(photos[0], tasks=tasks, quality=False).answers) == ["fine"]


def test_an_unknown_task_names_the_known_ones(shield, photos):
    with pytest.raises(ValueError, match=r"unknown task 'depth'.*coarse.*localization"):
        shield.detect(photos[0], tasks=["coarse", "depth"])


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_out_of_range_is_refused(shield, photos, threshold):
    with pytest.raises(ValueError, match=r"threshold .*from 0 to 1"):
        shield.detect(photos[0], threshold=threshold)


def test_the_threshold_decides_the_label_and_the_checkpoint_has_its_own(shield, photos, monkeypatch):
    script(monkeypatch, shield, 0.4, {})
    assert shield.detect(photos[0], tasks=()).label == "real"
    assert shield.detect(photos[0], tasks=(), threshold=0.4).label == "spoof"
    monkeypatch.setattr(shield.model.config, "score_threshold", 0.3)
    verdict = shield.detect(photos[0], tasks=())
    assert (verdict.label, verdict.threshold) == ("spoof", 0.3)
    monkeypatch.setattr(shield.model.config, "score_margin", 0.15)
    assert shield.detect(photos[0], tasks=()).label == "unsure"


def test_reconsidering_equals_detecting_at_that_threshold(shield, photos, monkeypatch):
    monkeypatch.setattr(shield.model.config, "score_margin", 0.05)
    first = shield.detect(photos[0])
    for threshold in (0.0, 0.3, first.score, 0.99):
        assert shield.reconsider(first, threshold) == shield.detect(photos[0], threshold=threshold)


def test_a_verdict_without_a_score_cannot_be_reconsidered(shield, photos):
    verdict = dataclasses.replace(shield.detect(photos[0], tasks=()), score=None)
    with pytest.raises(ValueError, match="without a score"):
        shield.reconsider(verdict, 0.5)


def test_red_and_blue_are_not_exchanged_on_the_way(shield, photos):
    red, blue = Image.new("RGB", (64, 64), (255, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 255))
    assert shield.score(red) != pytest.approx(shield.score(blue), abs=1e-6)
    assert shield.score(np.asarray(red)) == shield.score(red)


def test_the_same_image_gives_the_same_verdict_in_every_form(shield, photos, tmp_path):
    file = tmp_path / "photo.png"
    photos[1].save(file)
    forms = [photos[1], file, str(file), file.read_bytes(), np.asarray(photos[1]), np.asarray(photos[1]) / 255]
    verdicts = [shield.detect(form, tasks=["coarse"]) for form in forms]
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_training_mode_is_left(shared_shield):
    shared_shield.model.train()
    assert not FaceShield(shared_shield.model, shared_shield.processor).model.training


def test_every_task_has_a_limit_that_its_answer_fits_in(monkeypatch):
    assert set(MAX_NEW_TOKENS) == set(Task)
    assert all(limit >= 24 for limit in MAX_NEW_TOKENS.values())


# ---- many images ----


def test_a_batch_gives_what_single_images_give(shield, photos):
    singles = [shield.detect(photo) for photo in photos]
    for batch_size in (1, 2, 3):
        batch = shield.detect_batch(photos, batch_size=batch_size)
        assert [v.answers for v in batch] == [v.answers for v in singles]
        assert [v.score for v in batch] == pytest.approx([v.score for v in singles], abs=1e-6)
        assert [v.quality for v in batch] == [v.quality for v in singles]


def test_each_row_of_a_batch_is_answered_for_its_own_image_and_task(shield, photos):
    verdicts = shield.detect_batch(photos, tasks=[Task.FINE, Task.COARSE], quality=False)
    for photo, verdict in zip(photos, verdicts, strict=True):
        assert verdict.answers == {t.value: full_answer(shield, photo, t) for t in (Task.FINE, Task.COARSE)}


def test_one_bad_image_does_not_end_a_batch(shield, photos):
    good, bad, after = shield.detect_batch([photos[0], b"no image", photos[1]], tasks=(), on_error="return")
    # Against a batch of the same size: kernels, and with them last digits, differ with it on some processors.
    assert [good.score, after.score] == [verdict.score for verdict in shield.detect_batch(photos[:2], tasks=())]
    assert isinstance(bad, ValueError)
    assert "not an image" in str(bad)


def test_a_batch_of_bad_images_alone_runs_no_model(shield, monkeypatch):
    calls = count_calls(monkeypatch, shield.model.model.vision_tower, "forward")
    results = shield.detect_batch([b"", b"x"], on_error="return")
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert not calls


def test_a_bad_image_is_named_by_its_position_by_default(shield, photos):
    with pytest.raises(ValueError, match=r"image 3 \(from 0\).*not an image"):
        shield.detect_batch([photos[0], photos[1], photos[2], b"no image"], tasks=(), batch_size=2)


def test_images_are_read_as_they_are_needed(shield, photos, monkeypatch):
    read = []

    def reader():
        for photo in photos:
            read.append(len(judged))
            yield photo

    judged = count_calls(monkeypatch, shield, "_judge")
    shield.detect_batch(reader(), tasks=(), batch_size=1)
    assert read == [0, 1, 2]


def test_no_images_give_no_verdicts(shield):
    assert shield.detect_batch([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_error": "skip"}, "on_error='skip'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"threshold": 2}, "threshold 2"),
    ],
)
def test_options_out_of_range_are_refused(shield, photos, options, message):
    with pytest.raises(ValueError, match=message):
        shield.detect_batch(photos, **options)


@pytest.mark.parametrize("one", ["photo.jpg", b"bytes", Image.new("RGB", (9, 9))])
def test_one_image_is_no_batch(shield, one):
    with pytest.raises(ValueError, match="pass a list of images"):
        shield.detect_batch(one)


def test_two_threads_may_share_a_detector(shield, photos):
    expected = [shield.detect(photo, tasks=["fine"]) for photo in photos]
    found = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: shield.detect(photos[i], tasks=["fine"])}))
        for i in range(len(photos))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(photos))] == expected


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 3), (3, 50, 60)])
def test_one_array_is_no_batch(shield, kind, shape):
    with pytest.raises(ValueError, match=r"got one (ndarray|Tensor): pass a list of images, or use detect"):
        shield.detect_batch(kind(np.zeros(shape, np.uint8)), tasks=(), on_error="return")


def test_an_array_of_four_dimensions_is_a_batch(shield, photos):
    batch = np.stack([np.asarray(photos[1]), np.asarray(photos[1])[::-1]])
    assert [v.score for v in shield.detect_batch(batch, tasks=(), quality=False)] == pytest.approx(
        [shield.score(image) for image in batch], abs=1e-6
    )


# ---- where it looks ----


def test_importance_is_one_score_a_token_of_each_view(shield, photos):
    views = shield.importance(photos[0])
    assert {name: view.shape for name, view in views.items()} == {"rgb": (4, 4), "sav": (4, 4)}
    assert sum(view.sum() for view in views.values()) == pytest.approx(1, abs=1e-5)


def test_importance_is_the_models_own_and_depends_on_the_question(shield, photos):
    inputs = full_inputs(shield, photos[0], "Is there a screen?")
    expected = shield.model(**inputs, output_vision_importance=True).vision_importance[0].detach().numpy()
    views = shield.importance(photos[0], "Is there a screen?")
    assert np.concatenate([views["rgb"].ravel(), views["sav"].ravel()]) == pytest.approx(expected, abs=1e-6)
    assert not np.allclose(views["rgb"], shield.importance(photos[0], "Where is the spoof area?")["rgb"], atol=1e-5)


def test_importance_of_a_question_longer_than_the_model_is_refused_as_asking_it_is(shield, photos, monkeypatch):
    question = "Where is the spoof area? " * 40
    length = full_inputs(shield, photos[0], question)["input_ids"].shape[1]
    monkeypatch.setattr(shield.model.config.text_config, "max_position_embeddings", length)
    for ask in (shield.ask, shield.importance):
        with pytest.raises(ValueError, match=f"takes {length} tokens, .* at most {length} together"):
            ask(photos[0], question)
    monkeypatch.setattr(shield.model.config.text_config, "max_position_embeddings", length + 1)
    shield.importance(photos[0], question)


def test_what_callers_ask_is_not_kept(shield, photos):
    shield.detect(photos[0])
    kept = len(shield._asker._prompts)
    for number in range(5):
        shield.importance(photos[0], f"Is this face number {number}?")
    assert len(shield._asker._prompts) == kept == len(TASKS)


def test_importance_of_a_model_without_places_is_refused(shield, photos, monkeypatch):
    monkeypatch.setattr(shield.model.config, "connector", "gac")
    with pytest.raises(ValueError, match="no place in the image"):
        shield.importance(photos[0])


# ---- a token budget ----


def test_a_token_budget_goes_through_score_and_all_tasks(photos, tmp_path):
    small = FaceShield.from_pretrained(make_tiny_checkpoint(tmp_path / "b", vision_token_budget=5), device="cpu")
    verdict = small.detect(photos[0], tasks=[Task.FINE, Task.COARSE], quality=False)
    assert verdict.answers == {t.value: full_answer(small, photos[0], t) for t in (Task.FINE, Task.COARSE)}
    inputs = full_inputs(small, photos[0], QUESTIONS[Task.COARSE][0])
    assert verdict.score == pytest.approx(small.model.score(inputs).item(), abs=1e-6)


def test_a_token_budget_is_given_when_the_checkpoint_is_loaded(photos, tmp_path, tiny_folder):
    built_in = FaceShield.from_pretrained(make_tiny_checkpoint(tmp_path / "b", vision_token_budget=5), device="cpu")
    given = FaceShield.from_pretrained(tiny_folder, device="cpu", vision_token_budget=5)
    plain = FaceShield.from_pretrained(tiny_folder, device="cpu")
    assert given.model.config.vision_token_budget == given.processor.num_image_tokens == 5
    whole = plain.processor.num_image_tokens
    assert whole > 5 and plain.model.config.vision_token_budget is None
    for photo in photos:
        found, expected = given.detect(photo, quality=False), built_in.detect(photo, quality=False)
        assert (found.score, found.answers) == (expected.score, expected.answers)
    everything = FaceShield.from_pretrained(tiny_folder, device="cpu", vision_token_budget=whole)
    assert everything.detect(photos[0], quality=False).answers == plain.detect(photos[0], quality=False).answers


@pytest.mark.parametrize("budget, said", [(0, "must be at least 1"), (10_000, "has only")])
def test_a_token_budget_out_of_range_is_refused(tiny_folder, budget, said):
    with pytest.raises(ValueError, match=said):
        FaceShield.from_pretrained(tiny_folder, device="cpu", vision_token_budget=budget)


# ---- conversations ----


def test_asking_gives_what_the_plain_processor_and_generate_give(shield, photos):
    inputs = full_inputs(shield, photos[0], "Is there a screen?")
    ids = shield.model.generate(**inputs, max_new_tokens=20, do_sample=False)
    expected = shield.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert "".join(shield.stream(photos[0], "Is there a screen?", max_new_tokens=20)) == expected


def test_ask_and_chat_are_the_joined_stream(shield, photos, monkeypatch):
    monkeypatch.setattr(shield, "stream", lambda image, messages: iter([" It is", " real.", "\n"]))
    assert shield.ask(photos[0], "Real?") == "It is real."
    assert shield.chat(photos[0], [{"role": "user", "content": "Real?"}]) == "It is real."


def test_the_image_belongs_to_the_first_question_of_a_conversation(shield, photos, monkeypatch):
    calls = count_calls(monkeypatch, shield.processor, "apply_chat_template")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Real?"},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "Why?"},
    ]
    list(shield.stream(photos[0], messages, max_new_tokens=2))
    (conversation,) = calls[0][0]
    assert [[item["type"] for item in turn["content"]] for turn in conversation] == [
        ["text"],
        ["image", "text"],
        ["text"],
        ["text"],
    ]


def test_a_conversation_remembers_what_was_said(shield, photos):
    first = [{"role": "user", "content": "Real?"}, {"role": "assistant", "content": "No."}]
    other = [{"role": "user", "content": "Real?"}, {"role": "assistant", "content": "Yes, certainly."}]
    last = {"role": "user", "content": "Why?"}
    said = ["".join(shield.stream(photos[0], [*before, last], max_new_tokens=16)) for before in (first, other)]
    assert said[0] != said[1]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "turns"),
        ([{"role": "assistant", "content": "Hello"}], "turns"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "turns"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "turns"),
        ([{"role": "tool", "content": "a"}], r"\['tool'\]"),
        ([{"role": "system", "content": "a"}], "turns"),
        ([{"role": "user", "content": "  "}], "expected words"),
        ([{"role": "user"}], "expected words"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], "expected words"),
        ("", "expected words"),
    ],
)
def test_what_is_no_conversation_is_refused_at_once(shield, photos, messages, message):
    with pytest.raises(ValueError, match=message):
        shield.stream(photos[0], messages)


def test_a_conversation_that_is_too_long_is_refused_with_the_numbers(shield, photos):
    with pytest.raises(ValueError, match=r"takes \d{4} tokens, .* at most 2048 together"):
        shield.stream(photos[0], "word " * 1000)


def test_a_long_conversation_gets_as_long_an_answer_as_the_model_has_positions_for(shield, photos, monkeypatch):
    calls = count_calls(monkeypatch, shield.model, "generate")
    length = full_inputs(shield, photos[0], "Is it real?")["input_ids"].shape[1]
    monkeypatch.setattr(shield.model.config.text_config, "max_position_embeddings", length + 40)
    list(shield.stream(photos[0], "Is it real?"))
    assert calls[0][1]["max_new_tokens"] == 40
    monkeypatch.setattr(shield.model.config.text_config, "max_position_embeddings", length + 31)
    with pytest.raises(ValueError, match="leave out earlier messages"):
        shield.stream(photos[0], "Is it real?")


def test_an_image_that_is_none_is_refused_before_streaming_starts(shield):
    with pytest.raises(ValueError, match="not an image"):
        shield.stream(b"no image", "Real?")


# ---- what comes with the package ----


def test_the_embedded_checkpoint_answers_all_tasks(photos):
    verdict = FaceShield.from_pretrained(device="cpu").detect(photos[0], tasks=list(Task))
    assert verdict.model.startswith("faceshield-tiny@")
    assert list(verdict.answers) == [task.value for task in Task]
    assert all(verdict.answers.values())
    assert 0 <= verdict.score <= 1


def test_defaults_are_the_four_tasks_of_the_paper():
    default = inspect.signature(FaceShield.detect).parameters["tasks"].default
    assert default == (Task.COARSE, Task.FINE, Task.REASONING, Task.LOCALIZATION)


def test_the_model_keeps_no_gradients(shield, photos):
    shield.detect(photos[0], tasks=["coarse"])
    assert all(parameter.grad is None for parameter in shield.model.parameters())
    assert torch.is_grad_enabled()
