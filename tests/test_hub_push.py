"""Pushing: what goes, in one commit or not at all, with the real client against a Hub on loopback."""

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading

import httpx
import only_requirements
import pytest
import yaml
from gradio_client import Client, handle_file
from huggingface_hub import HfApi, snapshot_download
from PIL import Image
from tiny import tiny_processor

from faceshield_hf.checkpoints import load_checkpoint
from faceshield_hf.hub import Plan, plan_checkpoint, plan_dataset, plan_space, push, push_checkpoint, push_dataset
from faceshield_hf.hub.commit import check_repo_id, local_files
from faceshield_hf.hub.model import CHECKPOINT_FILES


pytest_plugins = ["hub_server", "tiny_checkpoint"]

# Blocks the package, which an editable installation would make importable even in isolated mode.
PRELUDE = 'import sys\nsys.modules["faceshield_hf"] = None\n'


def run(code, hub, home, **options):
    """Runs code in a fresh, isolated process whose Hub is the one on loopback."""
    environment = hub.environment(home, **options) | {"OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-I", "-c", PRELUDE + textwrap.dedent(code)]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def pictures(tmp_path):
    """A data set as the simulator writes it: two pictures and their table."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    rows = []
    for i, label in enumerate(("real", "spoof")):
        Image.new("RGB", (20, 10), (100 * i, 0, 0)).save(folder / "images" / f"{i}.png")
        rows.append({"file_name": f"images/{i}.png", "label": label, "boxes": [[0.0, 0.0, 1.0, 0.5]]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


# ---- ids and paths ----


@pytest.mark.parametrize(
    "name",
    [
        "model",
        "",
        "a/b/c",
        "../etc/passwd",
        "a/..",
        "/etc/passwd",
        "https://hf.co/a/b",
        "a/b\n",
        "a b/c",
        "a/b;rm -rf x",
        "a/" + "x" * 200,
        "ünï/cödé",
        "a/-b",
        "a/.git",
        "a\\b",
    ],
)
def test_what_is_no_repository_is_refused_before_anything_is_sent(name):
    with pytest.raises(ValueError, match="expected 'user/name'"):
        check_repo_id(name)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", ".git/config", "a\\b", ""])
def test_a_path_out_of_the_repository_is_refused(path):
    with pytest.raises(ValueError, match="inside the repository"):
        Plan("model", "a/b", {path: b"x"})


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_text("key")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="outside of"):
        local_files(tmp_path / "folder")


def test_hidden_and_unfinished_files_stay_here(tmp_path):
    for name in (".env", "a.txt", "b.txt.part", "__pycache__/c.pyc", ".cache/d.txt", "e/f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert list(local_files(tmp_path)) == ["a.txt", "e/f.txt"]


# ---- pushing anything ----


def test_everything_goes_in_one_commit(hub):
    done = push(Plan("model", "tester/new", {"a.txt": b"A", "b/c.safetensors": bytes(100)}, private=True))
    repo = hub.repo("model", "tester/new")
    assert [title for _, title, _ in repo.commits] == ["initial commit", "Push model with faceshield"]
    assert repo.private
    assert done.revision == repo.refs["main"]
    assert done.url == f"{hub.url}/tester/new"
    assert repo.files() == {
        ".gitattributes": repo.files()[".gitattributes"],
        "a.txt": b"A",
        "b/c.safetensors": bytes(100),
    }


def test_a_repository_that_holds_files_is_changed_only_when_told(hub):
    push(Plan("model", "tester/one", {"old.txt": b"1", "same.txt": b"2"}))
    plan = Plan("model", "tester/one", {"new.txt": b"3", "same.txt": b"2"})
    with pytest.raises(ValueError, match=r"exists and holds 2 files.*--update"):
        push(plan)
    push(plan, update=True)
    repo = hub.repo("model", "tester/one")
    assert set(repo.files()) == {".gitattributes", "new.txt", "same.txt"}
    assert len(repo.commits) == 3


def test_an_empty_repository_may_be_filled(hub):
    HfApi().create_repo("tester/empty")
    push(Plan("model", "tester/empty", {"a.txt": b"A"}))
    assert hub.repo("model", "tester/empty").files()["a.txt"] == b"A"


def test_what_should_be_private_never_goes_to_a_public_repository(hub):
    HfApi().create_repo("tester/public", repo_type="dataset")
    with pytest.raises(ValueError, match="is public, but the push should be private"):
        push(Plan("dataset", "tester/public", {"a.txt": b"A"}, private=True))
    assert len(hub.repo("dataset", "tester/public").commits) == 1


def test_the_gate_is_shut_before_the_first_file_is_in(hub):
    push(Plan("dataset", "tester/faces", {"a.txt": b"A"}, gated="manual"))
    assert hub.repo("dataset", "tester/faces").gated == "manual"
    steps = [path.rsplit("/", 2)[-2 if "main" in path else -1] for method, path in hub.seen if method != "GET"]
    assert steps.index("settings") < steps.index("commit")


@pytest.mark.parametrize(
    ("token", "said"),
    [(None, "there is no Hub token"), ("READ", "may only read"), ("WRONG", "does not accept the token")],
)
def test_a_token_that_cannot_write_is_said_before_anything_is_made(hub, monkeypatch, token, said):
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", {"READ": hub.READ, "WRONG": "hf_wrong"}[token])
    with pytest.raises(ValueError, match=f"{said}.*hf auth login"):
        push(Plan("model", "tester/new", {"a.txt": b"A"}))
    assert hub.repos == {}


def test_somebody_elses_repository_is_refused(hub):
    with pytest.raises(ValueError, match=r"may not write to tester/new \(403\)"):
        push(Plan("model", "tester/new", {"a.txt": b"A"}), token=hub.STRANGER)


@pytest.mark.parametrize("step", ["preupload", "lfs", "commit"])
def test_a_network_lost_in_the_middle_leaves_no_half_repository(hub, step):
    push(Plan("model", "tester/one", {"old.safetensors": bytes(10)}))
    plan = Plan("model", "tester/one", {"a.txt": b"A", "new.safetensors": bytes(1000)})
    hub.drop = {step}
    with pytest.raises(ValueError, match=r"push to tester/one broke off .* Run the same command again"):
        push(plan, update=True)
    assert set(hub.repo("model", "tester/one").files()) == {".gitattributes", "old.safetensors"}
    hub.drop = set()
    push(plan, update=True)
    assert set(hub.repo("model", "tester/one").files()) == {".gitattributes", "a.txt", "new.safetensors"}


def test_a_hub_that_is_not_there_is_said(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="can't be reached"):
        push(Plan("model", "tester/new", {"a.txt": b"A"}))


def test_of_two_pushes_at_once_no_mixture_comes_out(hub):
    """Each push says which state it started from; the slower one is told, and the files are those of one push."""
    push(Plan("model", "tester/one", {"first.txt": b"1"}))
    errors = []

    def try_push(name):
        try:
            push(Plan("model", "tester/one", {f"{name}{i}.txt": name.encode() for i in range(5)}), update=True)
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=try_push, args=(name,)) for name in "ab"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len({path[0] for path in hub.repo("model", "tester/one").files() if path != ".gitattributes"}) == 1
    assert all("changed by somebody else" in error for error in errors)


# ---- checkpoints ----


def test_a_checkpoint_goes_with_code_card_and_nothing_else(tiny_folder, tmp_path):
    for name in ("optimizer.pt", "pytorch_model.bin", "trainer_state.json", "evil.py", "secrets.txt"):
        (tmp_path / name).write_text("x")
    for file in tiny_folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    files = plan_checkpoint(tmp_path, "tester/tiny").files
    assert {
        "config.json",
        "model.safetensors",
        "README.md",
        "modeling_faceshield.py",
        "pipeline_faceshield.py",
    } <= set(files)
    assert not {"optimizer.pt", "pytorch_model.bin", "trainer_state.json", "evil.py", "secrets.txt"} & set(files)
    config = json.loads(files["config.json"])
    assert config["custom_pipelines"]["face-anti-spoofing"]["impl"] == "pipeline_faceshield.FaceAntiSpoofingPipeline"
    assert config["auto_map"]["AutoModel"] == "modeling_faceshield.FaceShieldForConditionalGeneration"


def test_the_embedded_card_names_the_repository_and_carries_its_numbers():
    text = plan_checkpoint(None, "tester/mine").files["README.md"].decode()
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["pipeline_tag"] == "image-text-to-text"
    assert metadata["license"] == "apache-2.0"
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["type"] == "auc"
    assert text.count("## Use\n") == 1
    assert "tester/mine" in text and "not for access control" in text


def test_a_checkpoint_that_does_not_load_is_not_pushed(hub, tiny_folder, tmp_path):
    for file in tiny_folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["hidden_size"] *= 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not load"):
        push_checkpoint(tmp_path, "tester/broken")
    assert hub.repos == {}


def test_a_checkpoint_with_a_reader_of_its_own_loads_after_the_push(hub, tmp_path):
    from test_prompts import LENGTH, model, reader

    folder, again = tmp_path / "checkpoint", tmp_path / "again"
    model().save_pretrained(folder)
    tiny_processor(prompt_length=LENGTH, prompt_reader=reader()).save_pretrained(folder)
    push_checkpoint(folder, "tester/reader")
    snapshot_download("tester/reader", local_dir=again)
    _, processor = load_checkpoint(again, "cpu")
    assert processor.prompt_inputs([[1]])["prompt_input_ids"].shape == (1, LENGTH)


def test_what_goes_is_loaded_not_what_lies_here(hub, tiny_folder, monkeypatch):
    kept = tuple(name for name in CHECKPOINT_FILES if name != "chat_template.jinja")
    monkeypatch.setattr("faceshield_hf.hub.model.CHECKPOINT_FILES", kept)
    with pytest.raises(ValueError, match=r"tester/part does not load, so nothing was sent: .*chat_template"):
        push_checkpoint(tiny_folder, "tester/part")
    assert hub.repos == {}


def test_a_dry_run_needs_neither_token_nor_network(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    lines = plan_checkpoint(None, "tester/mine", private=True, gated="auto").describe().splitlines()
    assert lines[0].startswith("model tester/mine (private, gated (auto)): ")
    assert any(line.endswith(" model.safetensors") for line in lines)


@pytest.mark.slow
def test_a_pushed_checkpoint_chats_and_judges_without_the_package(hub, tiny_folder, shared_shield, tmp_path):
    done = push_checkpoint(tiny_folder, "tester/faceshield-tiny", private=True)
    card = hub.repo("model", "tester/faceshield-tiny").files()["README.md"].decode()
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 3
    photo = tmp_path / "photo.jpg"
    Image.linear_gradient("L").convert("RGB").save(photo)
    # The card's own snippets, with the commit that was pushed instead of "main".
    pinned = "\n".join(snippets[:2]).replace('"main"', f'"{done.revision}"')
    code = f"{pinned}\nimport json\nprint('JSON' + json.dumps(verdict))\nprint(type(model).__module__)"
    ended = run(code, hub, tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "transformers_modules" in ended.stdout.splitlines()[-1]
    told = json.loads(ended.stdout.split("JSON")[1].splitlines()[0])
    expected = shared_shield.detect(photo, quality=False).to_dict()
    assert told["score"] == pytest.approx(expected["score"], abs=1e-6)
    assert {**told, "score": 0, "model": 0} == {**expected, "score": 0, "model": 0}
    refused = run(snippets[0], hub, tmp_path / "..", token=None)
    assert refused.returncode != 0, "a private repository needs a token"


# ---- data sets ----


def test_pictures_become_parquet_with_a_card(hub, pictures):
    push_dataset(pictures, "tester/faces", gated="manual")
    repo = hub.repo("dataset", "tester/faces")
    assert set(repo.files()) == {".gitattributes", "README.md", "data/train-00000.parquet"}
    assert (repo.private, repo.gated, len(repo.commits)) == (True, "manual", 2)
    metadata = yaml.safe_load(repo.files()["README.md"].decode().split("---")[1])
    assert metadata["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert metadata["size_categories"] == ["n<1K"]
    assert "extra_gated_prompt" in metadata
    pictures_here = {path for path in pictures.rglob("*") if path.is_file()}
    assert len(pictures_here) == 3, "the folder itself stays as it was"


def test_a_finished_build_goes_as_it_is(tmp_path):
    from datasets import Dataset

    (tmp_path / "data").mkdir()
    Dataset.from_list([{"x": 1}]).to_parquet(str(tmp_path / "data" / "train-00000.parquet"))
    (tmp_path / "README.md").write_text("---\nlicense: cc0-1.0\n---\n\n# Mine\n\n## Use\n\nold\n\n## Other\n\nkept\n")
    (tmp_path / "paid.cache").write_text("x")
    with plan_dataset(tmp_path, "tester/build", private=False) as plan:
        assert set(plan.files) == {"README.md", "data/train-00000.parquet"}
        text = plan.files["README.md"].decode()
    assert yaml.safe_load(text.split("---")[1])["license"] == "cc0-1.0"
    assert 'load_dataset("tester/build"' in text and "old" not in text and "kept" in text


@pytest.mark.parametrize("line", ['{"file_name": "../../etc/passwd"}', "{", '{"label": "real"}', '{"file_name": "x"}'])
def test_a_table_that_names_no_file_inside_is_refused_with_its_line(pictures, line):
    with (pictures / "metadata.jsonl").open("a") as table:
        table.write(line + "\n")
    with pytest.raises(ValueError, match=r"metadata.jsonl, line 3"), plan_dataset(pictures, "tester/faces"):
        pass


def test_a_folder_without_data_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match=r"neither data/\*.parquet nor metadata.jsonl"),
        plan_dataset(tmp_path, "tester/faces"),
    ):
        pass


@pytest.mark.slow
def test_a_pushed_data_set_is_read_by_load_dataset(hub, pictures, tmp_path):
    done = push_dataset(pictures, "tester/faces")
    ended = run(
        f"""
        from datasets import load_dataset
        rows = load_dataset("tester/faces", revision="{done.revision}", split="train")
        print([(row["label"], row["image"].size, row["image"].getpixel((0, 0)), row["boxes"]) for row in rows])
        """,
        hub,
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    expected = [
        ("real", (20, 10), (0, 0, 0), [[0.0, 0.0, 1.0, 0.5]]),
        ("spoof", (20, 10), (100, 0, 0), [[0.0, 0.0, 1.0, 0.5]]),
    ]
    assert ended.stdout.strip() == str(expected)


# ---- the Space ----


def test_the_space_takes_the_package_along():
    files = plan_space("tester/space").files
    assert {"app.py", "README.md", "requirements.txt", "faceshield_hf/__init__.py"} <= set(files)
    assert "faceshield_hf/assets/faceshield-tiny/model.safetensors" in files
    assert yaml.safe_load(files["README.md"].decode().split("---")[1])["app_file"] == "app.py"


def test_a_space_of_another_model_leaves_the_embedded_weights_here():
    plan = plan_space("tester/space", model="tester/mine")
    assert not any(path.endswith(".safetensors") for path in plan.files)
    assert plan.variables == {"FACESHIELD_MODEL": "tester/mine"}
    assert yaml.safe_load(plan.files["README.md"].decode().split("---")[1])["models"] == ["tester/mine"]


def space_plan(model, text=b"1"):
    """The Space's variables, without its many files."""
    variables = plan_space("tester/space", model=model).variables
    return Plan("space", "tester/space", {"app.py": text}, variables=variables)


def test_a_space_goes_back_to_the_embedded_checkpoint(hub):
    push(space_plan("tester/mine"))
    repo = hub.repo("space", "tester/space")
    assert repo.variables == {"FACESHIELD_MODEL": "tester/mine"}
    repo.variables["THEIRS"] = "stays"
    push(space_plan("tester/other", b"2"), update=True)
    assert repo.variables == {"FACESHIELD_MODEL": "tester/other", "THEIRS": "stays"}
    push(space_plan(None, b"3"), update=True)
    assert repo.variables == {"THEIRS": "stays"}
    push(space_plan(None, b"4"), update=True)
    assert repo.variables == {"THEIRS": "stays"}


def test_a_space_whose_commit_fails_keeps_its_model(hub):
    push(space_plan("tester/mine"))
    repo = hub.repo("space", "tester/space")
    hub.drop = {"commit"}
    for model in ("tester/other", None):
        with pytest.raises(ValueError, match="broke off"):
            push(space_plan(model, b"2"), update=True)
        assert (repo.variables, repo.files()["app.py"]) == ({"FACESHIELD_MODEL": "tester/mine"}, b"1")


def test_variables_that_could_not_be_set_are_said_with_the_commit(hub):
    push(space_plan("tester/mine"))
    repo = hub.repo("space", "tester/space")
    hub.drop = {"variables"}
    with pytest.raises(
        ValueError, match=r"the files are in tester/space, commit \w+, but .*FACESHIELD_MODEL.*--update"
    ):
        push(space_plan("tester/other", b"2"), update=True)
    assert repo.files()["app.py"] == b"2"
    hub.drop = set()
    push(space_plan("tester/other", b"2"), update=True)
    assert repo.variables == {"FACESHIELD_MODEL": "tester/other"}


@pytest.mark.slow
def test_a_pushed_space_runs_from_its_own_folder_with_only_its_requirements(hub, tmp_path):
    """Whatever else is installed here is hidden from it, an installed package of ours included."""
    push(plan_space("tester/space"))
    assert len(hub.repo("space", "tester/space").commits) == 2
    folder = snapshot_download("tester/space", repo_type="space", local_dir=tmp_path / "space")
    with (tmp_path / "space" / "faceshield_hf" / "__init__.py").open("a") as package:
        package.write("\nprint('the pushed package', flush=True)\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, only_requirements.__file__, folder, "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    said = []
    try:
        while not said or "FaceShield is at" not in said[-1]:
            said.append(process.stdout.readline())
            assert said[-1], "the Space ended before it served"
        assert "the pushed package\n" in said
        url = f"http://127.0.0.1:{port}/"
        assert "FaceShield" in httpx.get(url, timeout=60).text
        Image.linear_gradient("L").convert("RGB").save(tmp_path / "photo.png")
        photo = handle_file(tmp_path / "photo.png")
        verdict = Client(url, verbose=False).predict(image=photo, task="coarse", api_name="/analyze")
        assert 0 <= verdict["score"] <= 1 and verdict["quality"] == ["no_face"]
        assert verdict["model"].startswith("faceshield-tiny@")
    finally:
        process.terminate()
        process.wait(60)


def test_what_is_hidden_from_a_space_is_what_nothing_of_its_brings():
    allowed = only_requirements.allowed_by(["gradio==6.31.0", "transformers"])
    assert {"gradio", "fastapi", "transformers", "tokenizers"} <= allowed
    assert not {"trl", "datasets", "pytest", "faceshield-hf"} & allowed
