"""Finding and loading checkpoints: names, Hub ids, devices and types. Broken ones are in test_bad_input.py."""

import functools
import json
import resource
import shutil

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import httpx
from PIL import Image

from faceshield_hf import FaceShield
from faceshield_hf.checkpoints import EMBEDDED_CHECKPOINT, best_device, load_checkpoint, resolve_checkpoint
from faceshield_hf.version import __version__


pytest_plugins = ["tiny_checkpoint"]


def test_a_folder_is_named_by_its_last_part(tiny_folder, monkeypatch):
    assert resolve_checkpoint(tiny_folder) == (tiny_folder, "tiny")
    monkeypatch.chdir(tiny_folder)
    assert resolve_checkpoint(".").name == "tiny"


def test_the_embedded_checkpoint_is_named_with_the_version():
    assert resolve_checkpoint() == (EMBEDDED_CHECKPOINT, f"faceshield-tiny@{__version__}")


def test_a_hub_id_is_downloaded_without_code_and_pickles(tiny_folder, monkeypatch, tmp_path):
    asked = {}

    def download(repo_id, revision, allow_patterns):
        asked.update(repo_id=repo_id, revision=revision, patterns=set(allow_patterns))
        return str(shutil.copytree(tiny_folder, tmp_path / "0a1b2c"))

    monkeypatch.setattr("faceshield_hf.checkpoints.snapshot_download", download)
    folder, name = resolve_checkpoint("someone/some-model", revision="main")
    assert (folder, name) == (tmp_path / "0a1b2c", "someone/some-model@0a1b2c")
    assert (asked["repo_id"], asked["revision"]) == ("someone/some-model", "main")
    assert not {"*", "*.py", "*.bin", "*.pt"} & asked["patterns"]


def test_a_folder_wins_over_a_hub_id_of_the_same_name(tiny_folder, monkeypatch, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "someone" / "model")
    monkeypatch.chdir(tmp_path)
    assert resolve_checkpoint("someone/model").name == "model"


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), ConnectionError("no route")])
def test_a_hub_that_cannot_be_reached_is_said(monkeypatch, error):
    def download(*args, **kwargs):
        raise error

    monkeypatch.setattr("faceshield_hf.checkpoints.snapshot_download", download)
    with pytest.raises(ValueError, match=r"'someone/model' is no folder here, and the Hub .*(offline|no route)"):
        resolve_checkpoint("someone/model")


def test_a_repository_that_is_not_there_is_said(monkeypatch):
    response = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid/someone/model"))

    def download(*args, **kwargs):
        raise RepositoryNotFoundError("404 not found", response=response)

    monkeypatch.setattr("faceshield_hf.checkpoints.snapshot_download", download)
    with pytest.raises(ValueError, match=r"of that name at revision 'v9': 404 not found"):
        resolve_checkpoint("someone/model", revision="v9")


def test_the_model_computes_in_float32_on_the_cpu_unless_told_otherwise(tiny_folder, tmp_path):
    half, processor = load_checkpoint(tiny_folder, "cpu", torch.bfloat16)
    assert half.dtype == torch.bfloat16
    half.save_pretrained(tmp_path / "half")
    processor.save_pretrained(tmp_path / "half")
    assert load_checkpoint(tmp_path / "half", "cpu")[0].dtype == torch.float32
    assert load_checkpoint(tmp_path / "half", "cpu", "auto")[0].dtype == torch.bfloat16


def test_a_half_precision_model_still_judges(tiny_folder):
    shield = FaceShield.from_pretrained(tiny_folder, device="cpu", dtype="bfloat16")
    assert 0 <= shield.score(Image.new("RGB", (64, 64), "gray")) <= 1


def test_a_loaded_model_is_in_eval_mode(tiny_folder):
    assert not load_checkpoint(tiny_folder, "cpu")[0].training


def test_the_best_device_exists():
    assert torch.zeros(1, device=best_device()).item() == 0


@pytest.mark.parametrize("device", ["foo", "cuda:99", "mps:7", "vulkan", "", "cpu cuda"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path, device):
    with pytest.raises(ValueError, match=rf"got device '{device}': expected cpu, cuda, mps or another"):
        load_checkpoint(tmp_path, device)


def test_a_model_that_does_not_fit_onto_the_device_is_said(tiny_folder, monkeypatch):
    def full(self, device):
        raise torch.OutOfMemoryError("out of memory\nand much more")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(ValueError, match=r"can't be moved to the device cpu: out of memory$"):
        load_checkpoint(tiny_folder, "cpu")


def test_code_inside_a_checkpoint_is_not_run(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "hostile")
    for file in folder.glob("*.py"):
        file.write_text("raise SystemExit('this code was run')")
    assert FaceShield.from_pretrained(folder, device="cpu").name == "hostile"


def changed(tiny_folder, folder, file, *path, value):
    """A copy of the checkpoint with one entry of one of its files changed."""
    shutil.copytree(tiny_folder, folder)
    content = json.loads((folder / file).read_text())
    *parents, last = path
    functools.reduce(dict.__getitem__, parents, content)[last] = value
    (folder / file).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("text_config", "vocab_size"), 10**12, "embed_tokens.weight has the shape"),
        (("text_config", "intermediate_size"), 10**12, "makes it"),
        (("text_config", "num_hidden_layers"), 10**7, "num_hidden_layers=10000000, but there are only"),
        (("text_config", "hidden_size"), -3, "does not load"),
        (("gac_depth",), 10**7, "gac_depth=10000000"),
    ],
)
def test_a_configuration_that_lies_about_sizes_costs_no_memory(tiny_folder, tmp_path, path, value, said):
    folder = changed(tiny_folder, tmp_path / "lies", "config.json", *path, value=value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=said):
        load_checkpoint(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_pictures_larger_than_any_towers_are_refused(tiny_folder, tmp_path):
    size = {"height": 10**5, "width": 10**5}
    folder = changed(tiny_folder, tmp_path / "lies", "processor_config.json", "image_processor", "size", value=size)
    with pytest.raises(ValueError, match="pictures have 100000 pixels a side"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", ['{"weight_map": {"a": "../other.safetensors"}}', '{"weight_map": 3}', "{}"])
def test_an_index_of_weights_elsewhere_is_refused(tiny_folder, tmp_path, content):
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match="names no files beside it"):
        resolve_checkpoint(folder)
