"""Whole stages: a kill changes nothing, two processes agree with one, LoRA merges, and what a run leaves behind."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch


pytest.importorskip("trl", reason="needs the train extra")

from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file
from stage import RECIPES, fork_stage, run, weights, write_records
from tiny import encode, face, question, tiny_processor
from transformers import AutoModel

from faceshield_hf import FaceShieldForConditionalGeneration
from faceshield_hf.tasks_faceshield import Task


pytest_plugins = ["hub_server"]

LORA = ["--use_peft", "true", "--train_parts", "connector", "pvtm", "--lora_target_modules", "qkv_proj", "o_proj"]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("order", ["random", "group_by_length"])
def test_a_kill_in_the_middle_of_an_epoch_changes_nothing(start, tmp_path, monkeypatch, order):
    steps = ["--max_steps", "8", "--save_steps", "1", "--num_train_epochs", "4", "--save_total_limit", "3"]
    steps += ["--train_sampling_strategy", order]
    run(monkeypatch, start, tmp_path / "whole", *steps)
    process = fork_stage(start, tmp_path / "cut", *steps)
    deadline = time.monotonic() + 300
    while not (tmp_path / "cut" / "checkpoint-2" / "trainer_state.json").exists():
        assert process.is_alive(), (tmp_path / "cut.log").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / "cut" / "run.json").exists()
    # What a kill in the middle of saving leaves behind: passed over, not tripped over.
    (tmp_path / "cut" / "checkpoint-99").mkdir()
    (tmp_path / "cut" / "checkpoint-99" / "trainer_state.json").write_text('{"epoch": 0.')
    run(monkeypatch, start, tmp_path / "cut", *steps)
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


# Without masking, since each process draws its own: then the losses must be equal.
UNMASKED = ["--max_steps", "2", "--save_strategy", "no", "--model_fields", '{"pvtm_mask_prob": 0.0}']


@pytest.mark.parametrize("order", ["random", "group_by_length"])
def test_two_processes_compute_what_one_does_with_the_doubled_batch(start, tmp_path, monkeypatch, order):
    options = [*UNMASKED, "--cache_vision_features", str(tmp_path / "features")]  # all fill and read one cache
    options += ["--train_sampling_strategy", order]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    ranks = [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    pair = [fork_stage(start, tmp_path / "two", *options, environment=rank) for rank in ranks]
    run(monkeypatch, start, tmp_path / "one", *options, "--per_device_train_batch_size", "4")
    for process in pair:
        process.join(400)
        assert process.exitcode == 0, (tmp_path / "two.log").read_text()[-2000:]
    for name in ("one", "two"):
        assert json.loads((tmp_path / name / "run.json").read_text())["rows_a_step"] == 4
    losses = [
        [entry["loss"] for entry in json.loads((tmp_path / name / "log.json").read_text()) if "loss" in entry]
        for name in ("one", "two")
    ]
    assert len(losses[0]) == 2
    # The second step starts from weights that Adam has moved by gradients of another order of summation.
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
def test_accelerate_launches_two_processes_on_the_cpu(start, tmp_path):
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0"]
    command += ["--config_file", str(RECIPES / "accelerate" / "cpu_processes.yaml"), str(RECIPES / "sft.py")]
    command += ["--config", str(start / "sft.yaml"), "--output_dir", str(tmp_path), *UNMASKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "run.json").read_text())["rows_a_step"] == 4


@pytest.fixture(scope="module")
def lora(start, tmp_path_factory):
    out = tmp_path_factory.mktemp("lora")
    with pytest.MonkeyPatch.context() as monkeypatch:
        more = [*LORA, "--merge_lora", "true", "--max_steps", "2", "--save_strategy", "no", "--learning_rate", "0.05"]
        run(monkeypatch, start, out, *more, "--warmup_steps", "0")
    return out


def test_lora_learns_in_the_language_model_with_the_connector_beside_it(start, lora):
    names = load_file(lora / "adapter_model.safetensors").keys()
    assert any("language_model" in name and "lora_A" in name for name in names)
    assert any("multi_modal_projector" in name for name in names)
    assert any("mask_embedding" in name for name in names)
    assert not any("vision_tower" in name for name in names)
    before, after = weights(start / "init"), weights(lora / "merged")
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert any("multi_modal_projector" in name for name in changed)
    assert any("qkv_proj" in name for name in changed)
    assert not any("vision_tower" in name or "mlp" in name for name in changed)


def test_merged_lora_reloads_through_automodel_and_answers_as_the_adapter_does(start, lora):
    from peft import PeftModel

    base = FaceShieldForConditionalGeneration.from_pretrained(start / "init")
    adapted = PeftModel.from_pretrained(base, lora).eval()
    merged = AutoModel.from_pretrained(lora / "merged").eval()
    inputs = encode(tiny_processor(), [question("Real?", 0), question("Is the face in the image real or spoof?", 1)])
    with torch.no_grad():
        torch.testing.assert_close(merged(**inputs).logits, adapted(**inputs).logits, rtol=1e-3, atol=1e-3)
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    assert torch.equal(merged.generate(**inputs, **settings), adapted.generate(**inputs, **settings))


def test_lora_on_all_linear_layers_stays_out_of_the_tower(start, tmp_path, monkeypatch):
    more = ["--use_peft", "true", "--train_parts", "connector", "--lora_target_modules", "all-linear"]
    run(monkeypatch, start, tmp_path, *more, "--max_steps", "1", "--save_strategy", "no")
    assert not any("vision_tower" in name for name in load_file(tmp_path / "adapter_model.safetensors"))


def test_a_run_leaves_its_record_and_a_card_with_metrics(start, lora):
    told = json.loads((lora / "run.json").read_text())
    assert told["training"]["seed"] == 0
    assert told["recipe"]["train_parts"] == ["connector", "pvtm"]
    assert len(told["data"]["sha256"]) == 64
    assert told["rows"] == {"train": 8}
    assert told["libraries"]["transformers"]
    assert "hub_token" not in told["training"]
    for folder, library in ((lora, "peft"), (lora / "merged", "transformers")):
        card = ModelCard.load(folder / "README.md")
        assert card.data.library_name == library
        assert card.data.pipeline_tag == "image-text-to-text"
        assert {result.metric_name for result in card.data.eval_results} >= {"training loss"}
        for heading in ("## Intended use", "## Data", "## Training", "## Metrics", "## Limits"):
            assert heading in card.text
        assert str(start) not in card.content
        assert "SFT" not in card.text
        assert "| LoRA | rank 16, alpha 32 |" in card.text
        assert ("'s LoRA adapter" in card.text) == (library == "peft")
        assert json.loads((folder / "run.json").read_text())["model"]["use_peft"]


def test_every_checkpoint_tells_how_it_was_made(start, tmp_path, monkeypatch):
    run(monkeypatch, start, tmp_path, "--max_steps", "2", "--save_steps", "1", "--eval_strategy", "no")
    told = json.loads((tmp_path / "checkpoint-2" / "run.json").read_text())
    assert told["global_step"] == 2
    assert told["code"]["faceshield_hf"]
    assert told["training"]["learning_rate"] == 1e-3
    assert not (tmp_path / "checkpoint-2" / "README.md").exists()


def test_the_validation_loss_is_in_the_card(start, tmp_path, monkeypatch):
    write_records(start / "records", (Task.FINE, Task.REASONING), split="validation")
    more = ["--max_steps", "1", "--save_strategy", "no", "--eval_strategy", "steps", "--eval_steps", "1"]
    run(monkeypatch, start, tmp_path, *more, "--lopsided_alpha", "0.7")
    results = {result.metric_name: result for result in ModelCard.load(tmp_path / "README.md").data.eval_results}
    assert results["validation loss"].dataset_split == "validation"


def test_curves_go_to_tensorboard(start, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "curves"))
    run(
        monkeypatch, start, tmp_path / "out", "--max_steps", "1", "--save_strategy", "no", "--report_to", "tensorboard"
    )
    assert [path for path in (tmp_path / "curves").rglob("events.out.tfevents*") if path.stat().st_size]


def test_curves_go_to_trackio(start, tmp_path, monkeypatch):
    trackio = pytest.importorskip("trackio")
    # It reads its folder once, when it is imported.
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "trackio" and "TRACKIO_DIR" in vars(module):
            monkeypatch.setattr(module, "TRACKIO_DIR", Path(tmp_path / "curves"))
    logged = []
    sent = trackio.log
    monkeypatch.setattr(trackio, "log", lambda told, *a, **k: (logged.append(told), sent(told, *a, **k)))
    run(monkeypatch, start, tmp_path / "out", "--max_steps", "1", "--save_strategy", "no", "--report_to", "trackio")
    assert any("train/loss" in told for told in logged)


def test_several_questions_in_a_row_run_from_the_feature_cache(start, tmp_path, monkeypatch):
    more = ["--questions_per_row", "2", "--assistant_only_loss", "true", "--max_steps", "1", "--save_strategy", "no"]
    run(monkeypatch, start, tmp_path / "out", *more, "--cache_vision_features", str(tmp_path / "features"))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["rows"] == {"train": 4}


def test_a_stage_reads_a_data_set_of_the_hub_by_its_revision(hub, start, tmp_path, monkeypatch):
    import datasets

    def record(i):
        buffer = io.BytesIO()
        face(i).save(buffer, "PNG")
        kind, label, said = (("Bonafide", "real", "real."), ("Print", "spoof", "a spoof."))[i % 2]
        answer = f"The face in the image is {said}"
        told = {"question": "Is it real?", "answer": answer, "task": "coarse", "label": label, "attack_type": kind}
        return {"image": {"bytes": buffer.getvalue(), "path": None}, **told}

    HfApi().create_repo("tester/records", repo_type="dataset")
    commits = []
    for count in (4, 6):  # the branch goes on; the older commit is asked for
        rows = datasets.Dataset.from_list([record(i) for i in range(count)]).cast_column("image", datasets.Image())
        rows.to_parquet(tmp_path / "train.parquet")
        done = HfApi().upload_file(
            path_or_fileobj=str(tmp_path / "train.parquet"),
            path_in_repo="data/train-00000.parquet",
            repo_id="tester/records",
            repo_type="dataset",
        )
        commits.append(done.oid)
    for name, value in (
        ("HF_ENDPOINT", hub.url),
        ("HF_HUB_OFFLINE", False),
        ("HF_DATASETS_CACHE", str(tmp_path / "cache")),
    ):
        monkeypatch.setattr(datasets.config, name, value)
    more = ["--data", "tester/records", "--max_steps", "1", "--save_strategy", "no"]
    for asked, commit, count in ((commits[0], commits[0], 4), ("main", commits[1], 6)):
        run(monkeypatch, start, tmp_path / asked, *more, "--data_revision", asked)
        told = json.loads((tmp_path / asked / "run.json").read_text())
        assert told["data"] == {"data": "tester/records", "revision": asked, "commit": commit}
        assert told["rows"] == {"train": count}
        card = ModelCard.load(tmp_path / asked / "README.md")
        assert card.data.datasets == ["tester/records"]
        assert commit in card.text


def test_a_stage_changes_only_its_parts_and_leaves_a_whole_checkpoint(start, tmp_path, monkeypatch):
    run(monkeypatch, start, tmp_path, "--max_steps", "2", "--save_strategy", "no", "--train_parts", "connector")
    before, after = weights(start / "init"), weights(tmp_path)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("model.multi_modal_projector") for name in changed)
    assert (tmp_path / "processor_config.json").is_file()
