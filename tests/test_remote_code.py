"""A saved folder loads and chats in a fresh process that has never seen this package."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import skimage.data
from tiny import tiny_model, tiny_processor

from faceshield_hf import FaceShield
from faceshield_hf.checkpoints import EMBEDDED_CHECKPOINT
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.pipeline_faceshield import CUSTOM_PIPELINES
from faceshield_hf.processing_faceshield import FaceShieldProcessor


AUTO = {
    "AutoConfig": "configuration_faceshield.FaceShieldConfig",
    "AutoModel": "modeling_faceshield.FaceShieldForConditionalGeneration",
    "AutoModelForImageTextToText": "modeling_faceshield.FaceShieldForConditionalGeneration",
    "AutoModelForMultimodalLM": "modeling_faceshield.FaceShieldForConditionalGeneration",
}
# Blocks the package, which an editable installation would make importable even in isolated mode.
PRELUDE = """
    import sys
    sys.modules["faceshield_hf"] = None
    from pathlib import Path
    import numpy as np, torch
    from PIL import Image
    from transformers import (AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText,
        AutoModelForMultimodalLM, AutoProcessor, AutoTokenizer, pipeline)
    folder = sys.argv[1]
    face = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    content = [{"type": "image", "image": face}, {"type": "text", "text": "Real?"}]
    messages = [{"role": "user", "content": content}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_model(vision_token_budget=5).save_pretrained(folder)
    tiny_processor(vision_token_budget=5).save_pretrained(folder)
    return folder


def run(folder, code):
    """Runs code in isolated mode, with a module cache of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(code), str(folder)]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_folder_names_every_auto_class_and_holds_all_code(folder):
    config = json.loads((folder / "config.json").read_text())
    assert AUTO.items() <= config["auto_map"].items()
    names = {file.name for file in folder.glob("*.py")}
    assert {"modeling_faceshield.py", "configuration_faceshield.py", "processing_faceshield.py"} <= names
    assert config["custom_pipelines"] == CUSTOM_PIPELINES
    assert "pipeline_faceshield.py" in names
    assert "__init__.py" not in names


def test_saving_after_the_processor_keeps_the_processors_entries(folder, tmp_path):
    tiny_processor().save_pretrained(tmp_path)
    model = tiny_model()
    model.config.auto_map = {"AutoProcessor": "processing_faceshield.FaceShieldProcessor"}
    model.save_pretrained(tmp_path)
    found = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert found == {**AUTO, "AutoProcessor": "processing_faceshield.FaceShieldProcessor"}


@pytest.mark.slow
def test_everything_loads_and_chats_without_the_package(folder):
    done = run(
        folder,
        """
        trust = {"trust_remote_code": True}
        processor = AutoProcessor.from_pretrained(folder, **trust)
        AutoTokenizer.from_pretrained(folder, **trust)
        parts = [processor]
        parts += [auto.from_pretrained(folder, **trust) for auto in (AutoConfig, AutoImageProcessor)]
        inputs = processor.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True)
        answers = []
        for auto in (AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM):
            model = auto.from_pretrained(folder, **trust)
            parts.append(model)
            answers.append(model.generate(**inputs, max_new_tokens=5, do_sample=False).tolist())
            assert 0 <= model.score(inputs).item() <= 1
        assert answers[0] == answers[1] == answers[2]
        for part in parts:
            assert type(part).__module__.startswith("transformers_modules."), type(part)
        chat = pipeline("image-text-to-text", model=folder, **trust)
        said = chat(text=messages, max_new_tokens=5, generate_kwargs={"do_sample": False}, return_full_text=False)
        new = answers[0][0][inputs["input_ids"].shape[1]:]
        assert said[0]["generated_text"] == processor.tokenizer.decode(new, skip_special_tokens=True), said
        model.save_pretrained(folder + "/again")
        processor.save_pretrained(folder + "/again")
        assert (Path(folder) / "again" / "pipeline_faceshield.py").is_file()
        again = AutoModel.from_pretrained(folder + "/again", **trust)
        assert again.generate(**inputs, max_new_tokens=5, do_sample=False).tolist() == answers[0]
        print("CHATTED")
        """,
    )
    assert "CHATTED" in done.stdout, done.stderr[-3000:]


@pytest.mark.slow
def test_the_pipeline_of_a_checkpoint_says_without_the_package_what_the_detector_says(tmp_path):
    """Of the embedded folder as it is, and of what plain saving makes of it."""
    shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "embedded")
    FaceShieldForConditionalGeneration.from_pretrained(EMBEDDED_CHECKPOINT).save_pretrained(tmp_path / "saved")
    FaceShieldProcessor.from_pretrained(EMBEDDED_CHECKPOINT).save_pretrained(tmp_path / "saved")
    face = skimage.data.astronaut()
    np.save(tmp_path / "astronaut.npy", face)
    done = run(
        tmp_path,
        """
        import json
        for name in ("embedded", "saved"):
            judge = pipeline("face-anti-spoofing", model=f"{folder}/{name}", trust_remote_code=True, device="cpu")
            assert type(judge).__module__.startswith("transformers_modules."), type(judge)
            print("VERDICT" + json.dumps(judge(np.load(folder + "/astronaut.npy"))))
        """,
    )
    found = [json.loads(line.removeprefix("VERDICT")) for line in done.stdout.splitlines() if "VERDICT" in line]
    assert len(found) == 2, done.stderr[-3000:]
    expected = json.loads(json.dumps(FaceShield.from_pretrained(device="cpu").detect(face, quality=False).to_dict()))
    for verdict in found:
        assert verdict["score"] == pytest.approx(expected["score"], abs=1e-5)
        assert len(verdict["answers"]) == 4
        assert verdict | {"score": 0, "model": 0} == expected | {"score": 0, "model": 0}


@pytest.mark.slow
def test_a_missing_code_file_is_named(folder, tmp_path):
    for file in folder.iterdir():
        if file.is_file() and file.name != "pvtm_faceshield.py":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    done = run(tmp_path, "AutoModel.from_pretrained(folder, trust_remote_code=True)")
    assert done.returncode != 0
    assert "pvtm_faceshield.py" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_without_trust_nothing_of_the_folder_runs(folder):
    done = run(folder, "AutoModel.from_pretrained(folder, trust_remote_code=False)")
    assert done.returncode != 0
    assert "trust_remote_code=True" in done.stderr
