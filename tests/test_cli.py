"""The command line: what it prints, what it writes, and which exit code a script may count on."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import skimage.data
from PIL import Image
from test_bad_input import encoded, png_header
from typer.testing import CliRunner

from faceshield_hf import FaceShield, cli
from faceshield_hf.checkpoints import EMBEDDED_CHECKPOINT
from faceshield_hf.cli import about, common
from faceshield_hf.cli import detect as detecting
from faceshield_hf.decision import TASKS
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.tasks_faceshield import AttackType, Box, Verdict
from faceshield_hf.version import __version__


pytest_plugins = ["hub_server", "tiny_checkpoint"]

runner = CliRunner()
SPOOF = Verdict(
    label="spoof",
    score=0.9,
    threshold=0.5,
    attack_type=AttackType.PRINT,
    boxes=(Box(0.25, 0.5, 0.75, 1.0, "Print"),),
    explanation="Halftone dots.",
    answers={"fine": "The face in the image is a Print attack. Halftone dots."},
    quality=("blurred",),
    model="fake",
)
REAL = Verdict(label="real", score=0.1, threshold=0.5, attack_type=AttackType.BONAFIDE, model="fake")


COMMANDS = ["detect", "simulate", "train", "push", "push model", "push dataset", "push space", "serve", "demo", "info"]


class FakeShield:
    """Calls dark images spoofs; remembers how it was called."""

    def __init__(self):
        self.calls = []

    def detect_batch(self, images, tasks, threshold, **options):
        self.calls.append((list(images), {"tasks": tasks, "threshold": threshold} | options))
        results = []
        for image in images:
            try:
                results.append(SPOOF if np.asarray(to_rgb_image(image)).mean() < 128 else REAL)
            except ValueError as error:
                results.append(error)
        return results


@pytest.fixture
def fake(monkeypatch):
    shield = FakeShield()
    monkeypatch.setattr(detecting, "load_detector", lambda model, device: shield)
    return shield


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """dark.png (a spoof), light.png (real), broken.png, more/dark.jpg, more/notes.txt; the working folder."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (80, 40), "black").save("dark.png")
    Image.new("RGB", (80, 40), "white").save("light.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 40), "black").save("more/dark.jpg")
    (tmp_path / "more" / "notes.txt").write_text("not an image")
    return tmp_path


def run(*arguments, **options):
    return runner.invoke(cli.app, [str(argument) for argument in arguments], **options)


# ---- starting ----


def test_help_needs_neither_torch_nor_transformers():
    code = "import sys, faceshield_hf.cli; print([m for m in ('torch', 'transformers', 'cv2') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_names_every_command():
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command.split()[0] in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "--help" in result.stdout


def test_help_answers_within_a_second():
    """The processor's time of the best of three runs: others on the machine must not fail this."""
    code = "import resource, subprocess, sys; subprocess.run([sys.executable, '-c', %r, '--help'], check=True, "
    code += "stdout=subprocess.DEVNULL); used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    code += "print(used.ru_utime + used.ru_stime)"
    command = [sys.executable, "-c", code % "from faceshield_hf.cli import main; main()"]
    assert min(float(subprocess.check_output(command)) for _ in range(3)) < 1


def test_the_version_is_printed():
    assert run("--version").stdout.strip() == f"faceshield-hf {__version__}"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["detect"],
        ["detect", "x.png", "--task", "depth"],
        ["detect", "x.png", "--threshold", "2"],
        ["detect", "x.png", "--batch-size", "0"],
        ["simulate", "--faces", "x"],
        ["simulate", "--faces", "x", "--out", "y", "--domain", "D"],
    ],
)
def test_wrong_usage_exits_with_two(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# ---- detect: which files ----


def test_files_are_found_in_order_each_once(photos):
    files, missing = detecting.find_images(["light.png", "more", "*.png", "more/notes.txt"])
    assert files == ["light.png", "more/dark.jpg", "broken.png", "dark.png", "more/notes.txt"]
    assert missing == []


def test_globs_go_through_folders_and_take_images_only(photos):
    assert detecting.find_images(["**/d*"])[0] == ["dark.png", "more/dark.jpg"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(photos):
    Image.new("RGB", (4, 4)).save("photo[1].png")
    assert detecting.find_images(["photo[1].png"]) == (["photo[1].png"], [])


@pytest.mark.parametrize("path", ["nothere.png", "*.tiff", "nofolder/"])
def test_a_path_that_gives_nothing_is_said(photos, path):
    files, missing = detecting.find_images([path])
    assert files == []
    assert missing[0][0] == path
    assert "no such file" in missing[0][1]


@pytest.mark.parametrize("url", ["https://example.com/face.jpg", "HTTP://169.254.169.254/latest"])
def test_a_url_is_not_downloaded_and_what_to_do_is_said(photos, fake, url):
    result = run("detect", url)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{url}: error: nothing is downloaded: save the photo first")
    assert fake.calls == []


def test_a_folder_without_images_is_said(photos):
    (photos / "empty").mkdir()
    assert "no image in this folder" in detecting.find_images(["empty"])[1][0][1]


# ---- detect: what is printed ----


def test_the_human_form_says_label_type_score_place_reason_and_advice(photos, fake):
    result = run("detect", "dark.png")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "dark.png: SPOOF (Print), p(spoof) 0.900, threshold 0.500",
        "  where: (0.25, 0.50) to (0.75, 1.00)",
        "  why: Halftone dots.",
        "  photo: The face is blurred: hold the camera still and clean its lens.",
    ]


def test_the_human_form_of_a_real_face_is_one_line(photos, fake):
    assert run("detect", "light.png").stdout == "light.png: REAL, p(spoof) 0.100, threshold 0.500\n"


def test_json_is_one_object_a_line_errors_too(photos, fake):
    result = run("detect", "dark.png", "broken.png", "--json")
    dark, broken = map(json.loads, result.stdout.splitlines())
    assert dark == {"file": "dark.png"} | SPOOF.to_dict()
    assert broken["file"] == "broken.png"
    assert "not an image" in broken["error"]
    assert result.stderr == ""


def test_options_reach_the_detector(photos, fake):
    run("detect", "dark.png", "-t", "fine", "--task", "coarse", "--threshold", "0.25", "--batch-size", "3")
    (images, options), *_ = fake.calls
    assert images == ["dark.png"]
    assert (options["tasks"], options["threshold"], options["batch_size"]) == (["fine", "coarse"], 0.25, 3)


def test_without_options_the_detector_keeps_its_defaults(photos, fake):
    run("detect", "dark.png")
    options = fake.calls[0][1]
    assert (options["tasks"], options["threshold"]) == (TASKS, None)


def test_images_are_judged_batch_by_batch(photos, fake):
    run("detect", "dark.png", "light.png", "more", "--batch-size", "2")
    assert [images for images, _ in fake.calls] == [["dark.png", "light.png"], ["more/dark.jpg"]]


def test_an_image_may_come_from_standard_input(photos, fake):
    result = run("detect", "-", input=(photos / "dark.png").read_bytes())
    assert result.stdout.startswith("-: SPOOF (Print)")


# ---- detect: exit codes ----


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["light.png"], 0),
        (["dark.png"], 0),
        (["light.png", "--exit-code"], 0),
        (["dark.png", "light.png", "--exit-code"], 1),
        (["broken.png"], 2),
        (["dark.png", "broken.png", "--exit-code"], 2),
        (["light.png", "nothere.png"], 2),
    ],
)
def test_exit_codes_are_as_documented(photos, fake, arguments, code):
    assert run("detect", *arguments).exit_code == code


def test_an_unsure_image_is_not_real_for_the_exit_code(photos, fake, monkeypatch):
    unsure = Verdict(label="unsure", score=0.5, threshold=0.5)
    monkeypatch.setattr(fake, "detect_batch", lambda images, *args, **options: [unsure])
    result = run("detect", "dark.png", "--exit-code")
    assert (result.exit_code, result.stdout) == (1, "dark.png: UNSURE, p(spoof) 0.500, threshold 0.500\n")


def test_a_bad_image_is_one_line_on_standard_error_and_the_rest_is_judged(photos, fake):
    result = run("detect", "broken.png", "dark.png", "--task", "coarse")
    assert result.stderr.startswith("broken.png: error: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout.startswith("dark.png: SPOOF")


def test_a_missing_checkpoint_is_one_line_on_standard_error(photos):
    result = run("detect", "dark.png", "--model", "/nowhere/model")
    assert result.exit_code == 2
    assert result.stderr.startswith("faceshield: error: no checkpoint at /nowhere/model: expected a folder ")
    assert len(result.stderr.splitlines()) == 1


def test_a_bug_keeps_its_traceback(photos, fake, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr(fake, "detect_batch", fail)
    assert isinstance(run("detect", "dark.png").exception, RuntimeError)


# ---- detect: what is written ----


def test_csv_has_one_row_an_input(photos, fake):
    run("detect", "dark.png", "light.png", "broken.png", "--csv", "out.csv")
    rows = list(csv.DictReader(io.StringIO((photos / "out.csv").read_text())))
    assert list(rows[0]) == list(detecting.CSV_COLUMNS)
    assert rows[0] == {
        "file": "dark.png",
        "label": "spoof",
        "score": "0.9",
        "threshold": "0.5",
        "attack_type": "Print",
        "boxes": "0.2500 0.5000 0.7500 1.0000",
        "quality": "blurred",
        "explanation": "Halftone dots.",
        "error": "",
    }
    assert (rows[1]["label"], rows[1]["boxes"]) == ("real", "")
    assert (rows[2]["label"], rows[2]["error"] != "") == ("", True)


def test_drawings_show_the_boxes_and_leave_the_photos_alone(photos, fake):
    before = (photos / "dark.png").read_bytes()
    result = run("detect", "dark.png", "light.png", "more", "broken.png", "--draw", ".")
    assert result.exit_code == 2
    assert (photos / "dark.png").read_bytes() == before
    assert sorted(file.name for file in photos.glob("*-boxes.png")) == [
        "dark-2-boxes.png",
        "dark-boxes.png",
        "light-boxes.png",
    ]
    with Image.open(photos / "dark-boxes.png") as drawn:
        assert drawn.size == (80, 40)
        assert drawn.convert("RGB").getpixel((20, 39)) == (0x15, 0x65, 0xC0)
    assert not list(photos.glob("*.part"))


def test_stopping_keeps_what_was_judged(photos, fake, monkeypatch):
    original = fake.detect_batch

    def stop_at_the_second(*args, **options):
        if fake.calls:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(fake, "detect_batch", stop_at_the_second)
    result = run("detect", "dark.png", "light.png", "--batch-size", "1", "--csv", "out.csv")
    assert result.exit_code == 130
    rows = list(csv.DictReader(io.StringIO((photos / "out.csv").read_text())))
    assert [row["file"] for row in rows] == ["dark.png"]


def test_a_table_that_cannot_be_written_is_one_line(photos, fake):
    result = run("detect", "dark.png", "--csv", "nofolder/out.csv")
    assert result.exit_code == 2
    assert "nofolder/out.csv" in result.stderr
    assert not fake.calls  # told before anything was judged
    assert "Traceback" not in result.output


# ---- detect: with a real checkpoint, in a process of its own ----


def test_the_whole_way_from_a_file_to_json(photos, tiny_folder):
    Image.fromarray(skimage.data.astronaut()).save("face.jpg")
    command = [sys.executable, "-c", "from faceshield_hf.cli import main; main()", "detect", "face.jpg"]
    command += ["--model", str(tiny_folder), "--task", "coarse", "--json", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["file"], verdict["model"], list(verdict["answers"])) == ("face.jpg", "tiny", ["coarse"])
    assert done.stderr == "", "no loading bars, no warnings"


# ---- the other commands ----


def test_info_names_versions_checkpoint_and_device(tiny_folder):
    result = run("info", "--model", tiny_folder)
    assert result.exit_code == 0
    for part in (f"faceshield-hf {__version__}", "transformers", "siglip_vision_model", "phi3", "device"):
        assert part in result.stdout


def test_info_of_a_configuration_without_its_parts_is_no_traceback(tiny_folder, tmp_path):
    for file in tiny_folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "faceshield"}))
    result = run("info", "--model", tmp_path)
    assert result.exit_code == 0, result.output
    assert "vision ?, language ?" in result.stdout


def test_info_of_the_embedded_checkpoint():
    result = run("info")
    assert result.exit_code == 0, result.stderr
    assert str(EMBEDDED_CHECKPOINT) in result.stdout


def test_simulate_writes_images_and_a_table(photos):
    (photos / "faces").mkdir()
    Image.fromarray(skimage.data.astronaut()).save("faces/one.png")
    result = run(
        "simulate", "--faces", "faces", "--out", "set", "--per-face", 2, "--seed", 3, "--domain", "B", "--workers", 1
    )
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (photos / "set" / "metadata.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert all((photos / "set" / row["file_name"]).is_file() for row in rows)
    assert {(row["seed"], row["domain"]) for row in rows} == {(3, "B")}
    assert "2 images in set" in result.stdout


def test_simulate_takes_a_table_of_whose_face_a_photo_shows(photos):
    (photos / "faces").mkdir()
    Image.fromarray(skimage.data.astronaut()).save("faces/one.png")
    (photos / "people.csv").write_text("file,subject\none.png,ann\n")
    arguments = ["simulate", "--faces", "faces", "--out", "set", "--per-face", 1, "--workers", 1]
    result = run(*arguments, "--subjects", "people.csv")
    assert result.exit_code == 0, result.output
    assert json.loads((photos / "set" / "metadata.jsonl").read_text())["subject_id"] == "ann"
    (photos / "people.csv").write_text("file,subject\ntwo.png,ann\n")
    result = run(*arguments, "--subjects", "people.csv")
    assert result.exit_code == 2
    assert "people.csv, line 2: there is no file 'two.png' in faces" in result.stderr


def test_simulate_without_faces_is_one_line(photos):
    (photos / "faces").mkdir()
    result = run("simulate", "--faces", "faces", "--out", "set")
    assert result.exit_code == 2
    assert "no image" in result.stderr
    assert not (photos / "set").exists()


def test_a_device_that_is_not_there_is_one_line_and_exit_code_two(photos):
    program = [sys.executable, "-c", "from faceshield_hf.cli import main; main()"]  # a server needs a loop of its own
    for command in (["detect", str(photos / "dark.png")], ["serve", "--port", "0"]):
        result = subprocess.run([*program, *command, "--device", "foo"], capture_output=True, text=True)
        assert result.returncode == 2
        assert result.stderr.splitlines()[-1].startswith("faceshield: error: got device 'foo': expected cpu, cuda")
        assert "Traceback" not in result.stderr


def test_the_demo_takes_no_port_that_gradio_does_not(monkeypatch):
    monkeypatch.setattr(about, "run_program", lambda command, environment: 0)
    assert run("demo", "--port", 0).exit_code == 2
    assert run("demo", "--port", 1).exit_code == 0


def test_demo_starts_the_space_with_host_port_and_model(monkeypatch):
    calls = []
    monkeypatch.setattr(about, "run_program", lambda command, environment: calls.append((command, environment)) or 3)
    result = run("demo", "--host", "0.0.0.0", "--port", 8000, "--model", "some/model")
    ((command, environment),) = calls
    assert result.exit_code == 3
    assert command[0] == sys.executable
    assert command[1].endswith("app.py") and os.path.isfile(command[1])
    assert environment == {
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": "8000",
        "FACESHIELD_MODEL": "some/model",
    }


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["demo"], "space"),
        (["serve"], "serve"),
        (["train", "sft"], "train"),
        (["build-dataset"], "train"),
        (["push", "dataset", "user/name", "--from", "."], "train"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, arguments, extra):
    def missing(name):
        raise common.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(common.metadata, "version", missing)
    result = run(*arguments)
    assert result.exit_code == 2
    assert f'pip install "faceshield-hf[{extra}]"' in result.stderr


@pytest.mark.parametrize("arguments", [["demo"], ["train", "sft"]])
def test_an_installation_without_the_files_beside_it_says_where_it_looked(monkeypatch, tmp_path, arguments):
    monkeypatch.setattr(common, "PACKAGE", tmp_path / "faceshield_hf")
    result = run(*arguments)
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr
    assert "clone of its repository" in result.stderr


# ---- recipes ----


def test_train_hands_everything_on_to_the_recipe(photos):
    (photos / "mine.yaml").write_text("a: 1")
    result = run("train", "--dry-run", "sft", "--config", "mine.yaml", "--max_steps", "2", "--help")
    words = result.stdout.split()
    assert result.exit_code == 0, result.stderr
    assert words[1:3] == ["-m", "accelerate.commands.launch"]
    recipe = next(i for i, word in enumerate(words) if word.endswith("recipes/sft.py"))
    assert os.path.isfile(words[recipe])
    assert words[recipe + 1 :] == ["--config", "mine.yaml", "--max_steps", "2", "--help"]


def test_train_finds_a_configuration_among_the_recipes(photos):
    words = run("train", "--dry-run", "sft", "--config", "faceshield-tiny/sft.yaml").stdout.split()
    assert words[-1].endswith("recipes/faceshield-tiny/sft.yaml") and os.path.isfile(words[-1])


def test_train_keeps_the_users_own_accelerate_configuration(photos, monkeypatch):
    assert "cpu.yaml" in run("train", "--dry-run", "sft").stdout or "--num_processes" in run("train", "sft").stdout
    (photos / "accelerate").mkdir()
    (photos / "accelerate" / "default_config.yaml").write_text("num_processes: 1")
    monkeypatch.setenv("HF_HOME", str(photos))
    assert "--config_file" not in run("train", "--dry-run", "sft").stdout
    (photos / "own.yaml").write_text("num_processes: 1")
    assert "--config_file own.yaml" in run("train", "--dry-run", "--launch", "own.yaml", "sft").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "there is no recipe 'nothing'"),
        (["../../evil"], "there is no recipe"),
        (["sft", "--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--launch", "nowhere.yaml", "sft"], "nowhere.yaml: no such file"),
    ],
)
def test_train_says_what_it_does_not_find(photos, arguments, said):
    result = run("train", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_recipes_are_listed():
    assert {"pretrain", "sft"} <= set(run("train", "list").stdout.split())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 7), (signal.SIGTERM, 143)])
def test_a_program_that_is_stopped_gets_the_time_to_put_its_files_in_order(tmp_path, number, code):
    """Ctrl-C reaches both; the child takes two seconds to end, and both end with its code."""
    # It says that it is up inside the `try`: the signal may arrive before `print` returns.
    child = "import sys, time\ntry: print('up', flush=True); time.sleep(60)\n"
    child += f"except KeyboardInterrupt: time.sleep(2); open({str(tmp_path / 'whole')!r}, 'w').write('x'); sys.exit(7)"
    parent = (
        f"import sys; from faceshield_hf.cli.common import run_program; sys.exit(run_program({['PY', '-c', child]!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent.replace("'PY'", repr(sys.executable))],
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == b"up\n"
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(30) == code
    assert (tmp_path / "whole").exists() == (number == signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_a_program_starts_stops_it(monkeypatch, number):
    """Neither is it lost nor does it leave the program running."""
    start = subprocess.Popen

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), number)
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    # Not what the tests were started with: a shell's background jobs ignore Ctrl-C.
    old = signal.signal(number, signal.default_int_handler)
    try:
        assert common.run_program(["sleep", "60"]) == 128 + number
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, old)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_program_ignores_what_its_parent_ignores():
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "import signal, sys; sys.exit(3 if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else 4)"
        assert common.run_program([sys.executable, "-c", code]) == 3
    finally:
        signal.signal(signal.SIGINT, old)


# ---- pushing ----


def test_a_dry_run_lists_what_would_go_and_sends_nothing(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    result = run("push", "model", "user/mine", "--private", "--gated", "auto", "--dry-run")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("model user/mine (private, gated (auto)): ")
    assert any(line.endswith("  model.safetensors") for line in lines)
    assert lines[-1] == "Nothing was sent."


def test_a_dry_run_of_the_space_lists_the_app(monkeypatch):
    result = run("push", "space", "user/space", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert any(line.endswith("  app.py") for line in result.stdout.splitlines())


def test_a_model_is_pushed_and_can_be_loaded_by_the_printed_line(hub, tiny_folder):
    result = run("push", "model", "tester/mine", "--from", tiny_folder)
    assert result.exit_code == 0, result.stderr
    revision = hub.repo("model", "tester/mine").refs["main"]
    assert result.stdout.splitlines() == [
        f"{hub.url}/tester/mine",
        f"commit {revision}",
        f'FaceShield.from_pretrained("tester/mine", revision="{revision}")',
    ]
    detector = eval(result.stdout.splitlines()[-1], {"FaceShield": FaceShield})
    assert detector.name == f"tester/mine@{revision}"
    assert 0 <= detector.score(Image.new("RGB", (64, 64))) <= 1
    again = run("push", "model", "tester/mine", "--from", tiny_folder)
    assert again.exit_code == 2
    assert "exists and holds" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model", "nobody"], "expected 'user/name'"),
        (["model", "../../etc"], "expected 'user/name'"),
        (["model", "a/b", "--from", "/nowhere"], "no checkpoint at /nowhere"),
        (["dataset", "a/b", "--from", "/nowhere"], "/nowhere"),
        (["space", "a/b", "--model", "../x"], "expected 'user/name'"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(arguments, said):
    result = run("push", *arguments, "--dry-run")
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_push_without_a_token_says_how_to_get_one(hub, tiny_folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    result = run("push", "model", "tester/mine", "--from", tiny_folder)
    assert result.exit_code == 2
    assert "hf auth login" in result.stderr
    assert hub.repos == {}


# ---- bad images, all the way ----


BAD_IMAGES = {
    "text.jpg": b"this is no image",
    "empty.png": b"",
    "pdf.jpg": b"%PDF-1.7 not a picture",
    "cut.gif": b"GIF89a",
    "bomb.png": png_header(20_000, 20_000),
    "nan.tiff": encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), format="TIFF"),
}
TURNED = Image.Exif()
TURNED[0x0112] = 6
GRADIENT = Image.linear_gradient("L").convert("RGB")
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (256, 256), "red")]}
GOOD_IMAGES = {
    "L.png": encoded(GRADIENT.convert("L")),
    "RGBA.png": encoded(GRADIENT.convert("RGBA")),
    "P.png": encoded(GRADIENT.convert("P")),
    "CMYK.jpg": encoded(GRADIENT.convert("CMYK"), format="JPEG"),
    "I16.png": encoded(Image.new("I;16", (32, 32))),
    "pixel.png": encoded(Image.new("RGB", (1, 1))),
    "turned.jpg": encoded(GRADIENT, format="JPEG", exif=TURNED),
    "animated.gif": encoded(GRADIENT, format="GIF", **FRAMES),
}


def test_every_bad_image_is_one_line_and_the_good_ones_are_judged(photos, tiny_folder):
    for name, content in BAD_IMAGES.items():
        (photos / name).write_bytes(content)
    whole = encoded(Image.effect_noise((300, 200), 50), format="JPEG")
    (photos / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    for name, content in GOOD_IMAGES.items():
        (photos / f"good-{name}").write_bytes(content)
    result = run("detect", *BAD_IMAGES, "truncated.jpg", "good-*", "--model", tiny_folder, "-t", "coarse", "--json")
    rows = {row["file"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 2
    assert {name for name, row in rows.items() if "error" in row} == {*BAD_IMAGES, "truncated.jpg"}
    assert {name for name, row in rows.items() if "label" in row} == {f"good-{name}" for name in GOOD_IMAGES}
    assert "Traceback" not in result.output


def test_a_checkpoint_whose_config_lies_about_sizes_is_one_line(photos, tiny_folder):
    (photos / "lying").mkdir()
    for file in tiny_folder.iterdir():
        if file.is_file():
            (photos / "lying" / file.name).write_bytes(file.read_bytes())
    config = json.loads((photos / "lying" / "config.json").read_text())
    config["text_config"]["hidden_size"] *= 2
    (photos / "lying" / "config.json").write_text(json.dumps(config))
    result = run("detect", "dark.png", "--model", "lying")
    assert result.exit_code == 2
    assert "does not load" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_detect_at_once_with_130(photos, tiny_folder):
    """Killed in the middle of a long run, the table holds whole rows and no half file is left."""
    for i in range(40):
        Image.new("RGB", (64, 64), (i, i, i)).save(f"many{i}.png")
    command = [sys.executable, "-u", "-c", "from faceshield_hf.cli import main; main()", "detect", "many*.png"]
    command += ["--model", str(tiny_folder), "--batch-size", "1", "--csv", "out.csv", "--device", "cpu"]
    # Whoever runs the tests in the background may have told them to ignore Ctrl-C: the program starts without that.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline().startswith("many0.png: ")
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert time.monotonic() - started < 30
    rows = list(csv.DictReader(io.StringIO((photos / "out.csv").read_text())))
    assert 1 <= len(rows) < 40
    assert all(row["label"] for row in rows)
    assert not list(photos.glob("*.part"))
