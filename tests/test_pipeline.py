"""The pipelines that transformers makes of a checkpoint say what the detector says."""

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

from faceshield_hf.pipeline_faceshield import FaceAntiSpoofingPipeline
from faceshield_hf.tasks_faceshield import QUESTIONS, Task


pytest_plugins = ["tiny_checkpoint"]

PICTURES = [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").resize((90, 50)).convert("RGB")]


@pytest.fixture(scope="module")
def judge(shared_shield):
    return FaceAntiSpoofingPipeline(shared_shield.model, processor=shared_shield.processor, device="cpu")


def agree(found, expected):
    expected = expected.to_dict() | {"quality": []}
    assert found["score"] == pytest.approx(expected["score"], abs=1e-5)
    assert found | {"score": 0, "model": 0} == expected | {"score": 0, "model": 0}


@pytest.mark.parametrize("picture", PICTURES)
def test_a_verdict_is_the_detectors(judge, shared_shield, picture):
    agree(judge(picture), shared_shield.detect(picture, quality=False))


def test_paths_bytes_and_arrays_are_taken_too(judge, tmp_path):
    PICTURES[0].save(tmp_path / "photo.png")
    file = tmp_path / "photo.png"
    told = [judge(source, tasks=()) for source in (str(file), file.read_bytes(), np.asarray(PICTURES[0]), PICTURES[0])]
    assert len({answer["score"] for answer in told}) == 1


def test_a_list_gives_a_list(judge):
    assert [answer["score"] for answer in judge(PICTURES, tasks=())] == [
        judge(picture, tasks=())["score"] for picture in PICTURES
    ]


def test_tasks_and_threshold_are_the_callers_choice(judge, shared_shield):
    found = judge(PICTURES[0], tasks=["fine", "fine", "coarse"], threshold=0.25)
    agree(found, shared_shield.detect(PICTURES[0], ["fine", "coarse"], threshold=0.25, quality=False))
    assert list(found["answers"]) == ["fine", "coarse"]


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("https://example.com/face.jpg", {}, "nothing is downloaded"),
        (b"no image", {}, "not an image"),
        (PICTURES[0], {"tasks": ["depth"]}, "unknown task 'depth'"),
        (PICTURES[0], {"threshold": 2}, "expected a number from 0 to 1"),
    ],
)
def test_bad_input_is_refused(judge, source, options, said):
    with pytest.raises(ValueError, match=said):
        judge(source, **options)


def test_the_pipeline_of_transformers_answers_in_the_detectors_words(shared_shield):
    """`image-text-to-text`, which every checkpoint of this kind has, without any code of ours."""
    answer = pipeline("image-text-to-text", model=shared_shield.model, processor=shared_shield.processor, device="cpu")
    content = [{"type": "image", "image": PICTURES[0]}, {"type": "text", "text": QUESTIONS[Task.COARSE][0]}]
    said = answer(
        text=[{"role": "user", "content": content}],
        return_full_text=False,
        generate_kwargs={"max_new_tokens": 24, "do_sample": False},
    )
    expected = shared_shield.detect(PICTURES[0], ["coarse"], quality=False).answers["coarse"]
    assert said[0]["generated_text"].strip() == expected
