"""What the Space promises to a visitor and to a program, without a browser."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import gradio as gr
import httpx
import numpy as np
import pytest
import ui_text
from app import main, parse_arguments
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from tiny_checkpoint import tiny_folder  # noqa: F401  (a fixture)
from ui_examples import SHOWN, make_examples, portrait, simulated_attack
from ui_handlers import Handlers, Result, shown_errors
from ui_page import build_demo
from ui_parts import annotated, explanation_text, read_history, reproduction_code, verdict_band

from faceshield_hf.tasks_faceshield import AttackType, Box, Task, Verdict


SPACE = Path(__file__).parents[2] / "space"
SPOOF = Verdict(label="spoof", score=0.8, threshold=0.5, attack_type=AttackType.PRINT)


# ---- the parts ----


def test_band_says_the_decision_in_words_and_numbers():
    band = verdict_band(SPOOF)
    assert "fs-spoof" in band and "Spoof" in band and "Print" in band
    assert "80.0%" in band and "threshold 50%" in band


@pytest.mark.parametrize(
    ("label", "words"), [("real", "Real"), ("spoof", "Spoof"), ("unsure", "Unsure"), (None, "No decision")]
)
def test_band_has_words_for_every_label(label, words):
    assert words in verdict_band(Verdict(label=label))


def test_band_names_no_attack_for_a_real_face():
    assert "Bonafide" not in verdict_band(Verdict(label="real", score=0.1, attack_type=AttackType.BONAFIDE))


def test_band_gives_advice_on_a_bad_photo():
    assert "too dark" in verdict_band(Verdict(label="real", score=0.1, quality=("dark",)))


def test_band_waits_before_the_first_run():
    assert ui_text.WAITING in verdict_band(None)


def test_box_is_drawn_on_its_pixels_of_the_shrunken_photo():
    shown, [(mask, label)] = annotated(
        Image.new("RGB", (1536, 768)), Verdict(boxes=(Box(0.25, 0.5, 0.75, 1.0, "Print"),))
    )
    assert shown.size == (768, 384) and label == "Print"
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (192, 575, 192, 383)
    assert mask[192, 192] == 1 and 0 < mask[288, 384] < 0.2  # an opaque border, the face inside still to be seen


def test_small_photo_is_not_enlarged_and_is_not_changed():
    image = Image.new("L", (30, 20))
    shown, boxes = annotated(image, Verdict())
    assert shown.size == (30, 20) and shown.mode == "RGB" and boxes == [] and image.size == (30, 20)


def test_box_too_thin_to_see_is_left_out():
    assert annotated(Image.new("RGB", (100, 100)), Verdict(boxes=(Box(0.5, 0.5, 0.51, 0.9),)))[1] == []


def test_unlabelled_box_has_a_name():
    assert annotated(Image.new("RGB", (99, 99)), Verdict(boxes=(Box(0, 0, 1, 1),)))[1][0][1] == "Spoof area"


def test_explanation_falls_back_to_the_answers():
    assert explanation_text(Verdict(explanation=" Why. ", answers={"fine": "x"})) == "Why."
    assert explanation_text(Verdict(answers={"coarse": "A.", "fine": "B."})) == "A.\n\nB."
    assert explanation_text(Verdict()) == ui_text.NO_WORDS


@pytest.mark.parametrize("checkpoint", [None, "user/model", 'C:\\a "b"'])
def test_shown_code_is_python_that_loads_the_same_checkpoint(checkpoint):
    lines = ast.parse(reproduction_code(["fine"], checkpoint)).body
    load, detect = lines[1].value, lines[2].value
    assert ast.unparse(load.func) == "FaceShield.from_pretrained" and ast.unparse(detect.func) == "detector.detect"
    assert [argument.value for argument in load.args] == ([] if checkpoint is None else [checkpoint])
    assert ast.literal_eval(detect.keywords[0].value) == ["fine"]


def test_history_is_read_from_the_page_and_from_programs():
    page = {"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "file", "file": {"path": "x"}}]}
    program = {"role": "assistant", "content": "Dots."}
    empty = {"role": "user", "content": []}
    other = {"role": "system", "content": "obey"}
    assert read_history([page, program, empty, other]) == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Dots."},
    ]


def test_every_task_of_the_selector_is_one_of_the_models():
    asked = [task for choice in ui_text.TASKS.values() for task in choice.tasks]
    assert {Task(task) for task in asked} == set(Task) - {Task.DESCRIBE}


# ---- the handlers ----


def test_run_fills_every_part_of_the_page(detector, face_file):
    result = Handlers(detector).run(str(face_file), "all", 0.5)
    assert detector.asked == [((512, 512), ("coarse", "fine", "reasoning", "localization"))]
    assert "Spoof" in result.band and result.json["score"] == 0.8 and "A dot pattern" in result.explanation
    assert len(result.boxes[1]) == 1 and all(part is not None for part in result)
    assert result.slider[0].size == result.slider[1].size


def test_slider_decides_again_without_the_model(detector, face_file):
    handlers = Handlers(detector)
    first = handlers.run(str(face_file), "all", 0.5)
    band, boxes, explanation, shown = handlers.decide_again(str(face_file), first.json, 0.9)
    assert "Real" in band and boxes[1] == [] and explanation == "Even light."
    assert shown["label"] == "real" and shown["threshold"] == 0.9 and shown["quality"] == ["dark"]
    assert len(detector.asked) == 1


def test_slider_does_not_draw_the_picture_again_when_its_boxes_stay(detector, face_file):
    handlers = Handlers(detector)
    first = handlers.run(str(face_file), "all", 0.5)
    assert handlers.decide_again(str(face_file), first.json, 0.6)[1] == gr.skip()


def test_slider_changes_nothing_before_the_first_run(detector):
    assert Handlers(detector).decide_again(None, None, 0.6) == (gr.skip(),) * 4


def test_chat_sends_the_whole_conversation_and_streams(detector, face_file):
    history = [{"role": "user", "content": "Real?"}, {"role": "assistant", "content": "No."}]
    steps = list(Handlers(detector).chat(str(face_file), " Where? ", history))
    assert [message["content"] for message in detector.messages] == ["Real?", "No.", "Where?"]
    assert all(box == "" for box, _ in steps) and len(steps) > 5
    lengths = [len(messages[-1]["content"]) for _, messages in steps[1:]]
    assert lengths == sorted(lengths) and steps[-1][1][-1]["content"].startswith("The spoof area is [300, 100")
    assert len(history) == 2  # the caller's own


@pytest.mark.parametrize(
    ("photo", "question", "message"),
    [(None, "Real?", ui_text.NO_IMAGE), ("face", " ", ui_text.NO_QUESTION), ("face", "", ui_text.NO_QUESTION)],
)
def test_chat_says_what_is_missing(detector, face_file, photo, question, message):
    with pytest.raises(gr.Error) as error:
        list(Handlers(detector).chat(photo and str(face_file), question, []))
    assert error.value.message == message


def test_error_names_the_file_as_the_visitor_does_and_is_no_html(tmp_path):
    photo = str(tmp_path / "<b>.jpg")
    with pytest.raises(gr.Error) as error, shown_errors(photo):
        raise ValueError(f"{photo} is no image")
    assert error.value.message == "&lt;b&gt;.jpg is no image"


def test_bug_is_not_dressed_up_as_a_visitors_mistake():
    with pytest.raises(KeyError), shown_errors():
        raise KeyError("bug")


def test_results_match_the_page_one_to_one(detector):
    demo = build_demo(detector)
    [run] = [fn for fn in demo.fns.values() if fn.name == "run"]
    kinds = [type(component).__name__ for component in run.outputs]
    assert kinds == ["HTML", "AnnotatedImage", "Textbox", "JSON", "Code", "ImageSlider", "Image", "Image", "Image"]
    assert len(kinds) == len(Result._fields)


# ---- the examples ----


def test_examples_are_the_portrait_and_attacks_on_it(tmp_path):
    examples = make_examples(tmp_path)
    assert [example.name for example in examples] == ["Photo", *(kind.value for kind in SHOWN)]
    assert np.abs(np.asarray(Image.open(examples[0].path), int) - np.asarray(portrait(), int)).mean() < 3
    assert len({Path(example.path).read_bytes() for example in examples}) == len(examples)
    assert all(Image.open(example.path).mode == "RGB" for example in examples)


def test_simulated_attack_is_the_same_every_time():
    assert simulated_attack(AttackType.TATTOO).tobytes() == simulated_attack(AttackType.TATTOO).tobytes()


# ---- programs ----


@pytest.fixture
def client(page_url):
    return Client(page_url, verbose=False)


def test_analyze_is_the_only_public_endpoint_and_is_typed(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(endpoints) == ["/analyze"]
    assert [p["parameter_name"] for p in endpoints["/analyze"]["parameters"]] == ["photo", "task", "threshold"]


def test_analyze_gives_the_verdict(client, detector, face_file):
    answer = client.predict(photo=handle_file(face_file), task="fine", threshold=0.9, api_name="/analyze")
    verdict = Verdict.from_dict(answer)
    assert verdict.label == "real" and verdict.threshold == 0.9 and verdict.answers == {"fine": "The answer to fine."}
    assert detector.asked == [((512, 512), ("fine",))]


def test_analyze_asks_everything_by_default(client, face_file):
    answer = client.predict(photo=handle_file(face_file), api_name="/analyze")
    assert list(answer["answers"]) == list(ui_text.TASKS["all"].tasks) and answer["threshold"] == 0.5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 1.5}, "greater than maximum value 1"),
        ({"task": "colour"}, "not in the list of choices"),
        ({"photo": None}, "no photo yet"),
    ],
)
def test_analyze_refuses_wrong_values_with_a_message(client, detector, face_file, wrong, message):
    with pytest.raises(AppError, match=message):
        client.predict(**({"photo": handle_file(face_file)} | wrong), api_name="/analyze")
    assert detector.asked == []


def test_analyze_refuses_what_is_no_image_by_its_name(client, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(AppError, match=r"^'notes.txt' is not an image"):
        client.predict(photo=handle_file(tmp_path / "notes.txt"), api_name="/analyze")


def test_analyze_reads_no_file_of_the_server(page_url, detector):
    secret = Path(ui_text.__file__).parents[1] / "docs" / "images" / "space.png"
    for photo in ({"path": str(secret)}, {"path": "/etc/hostname"}, {"path": "http://127.0.0.1:1/x.png"}):
        data = [photo | {"meta": {"_type": "gradio.FileData"}}, "coarse", 0.5]
        started = httpx.post(f"{page_url}gradio_api/call/analyze", json={"data": data}).json()
        events = httpx.get(f"{page_url}gradio_api/call/analyze/{started['event_id']}", timeout=20).text
        assert "event: error" in events and "event: complete" not in events
    assert detector.asked == []


def test_nothing_is_recorded_and_what_is_uploaded_is_deleted(page_url, detector):
    config = httpx.get(f"{page_url}config").json()
    assert config["analytics_enabled"] is False and config["run_history"] is False
    every, age = build_demo(detector).delete_cache
    assert every + age <= 3600  # seconds


# ---- the program ----


def test_arguments_come_from_the_command_line_then_the_environment(monkeypatch):
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "FACESHIELD_MODEL"):
        monkeypatch.delenv(name, raising=False)
    assert vars(parse_arguments([])) == {"host": "127.0.0.1", "port": 7860, "model": None}
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7000")
    monkeypatch.setenv("FACESHIELD_MODEL", "user/model")
    assert vars(parse_arguments(["--host", "0.0.0.0"])) == {"host": "0.0.0.0", "port": 7000, "model": "user/model"}
    assert parse_arguments(["--port", "7001"]).port == 7001


def test_missing_checkpoint_is_one_line_not_a_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "put back after the test")
    with pytest.raises(SystemExit, match=r"^error: no checkpoint at"):
        main(["--model", str(tmp_path / "nowhere")])


def test_program_serves_a_real_model_and_leaves_nothing_behind(tiny_folder, face_file, free_port, tmp_path):  # noqa: F811
    """The whole way: start, upload, verdict, stop; afterwards not one file is left."""
    left = tmp_path / "tmp"
    left.mkdir()
    environment = os.environ | {"TMPDIR": str(left), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, str(SPACE / "app.py"), "--model", str(tiny_folder), "--port", str(free_port)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        lines = iter(process.stdout.readline, "")
        url = next(match[1] for line in lines if (match := re.search(r"FaceShield is at (\S+)", line)))
        assert urlopen(url).status == 200
        answer = Client(url, verbose=False).predict(
            photo=handle_file(face_file), task="coarse", threshold=0.5, api_name="/analyze"
        )
        assert 0 <= Verdict.from_dict(answer).score <= 1
        assert any(path.is_file() and path.suffix == ".jpg" for path in left.rglob("*"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    time.sleep(0.2)
    assert [path for path in left.rglob("*") if path.is_file()] == []


# ---- the folder as a Space of the Hub ----


def _front_matter():
    text = (SPACE / "README.md").read_text()
    return dict(re.findall(r"^(\w+): *(.*)$", text.split("---")[1], re.MULTILINE))


def _pins(path):
    lines = [line.split(";")[0].strip() for line in path.read_text().splitlines() if "==" in line]
    return dict(line.split("==") for line in reversed(lines))  # of two lines for two Pythons the first counts


def test_front_matter_names_what_is_there():
    front = _front_matter()
    tested = _pins(SPACE.parent / "constraints.txt")
    assert front["sdk"] == "gradio" and front["sdk_version"] == tested["gradio"]
    assert (SPACE / front["app_file"]).is_file() and len(json.loads(front["short_description"])) <= 60


def test_requirements_are_the_tested_versions_but_for_torch():
    required, tested = _pins(SPACE / "requirements.txt"), _pins(SPACE.parent / "constraints.txt")
    torch = required.pop("torch")
    assert required.items() <= tested.items()
    assert (2, 8) <= tuple(map(int, torch.split(".")[:2])) <= (2, 11)  # what ZeroGPU offers
