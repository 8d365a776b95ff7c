"""transformers' Auto classes know FaceShield once the package is imported, in whatever order that happens."""

import subprocess
import sys
import textwrap

import pytest
from tiny import tiny_config, tiny_model
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
)

import faceshield_hf
from faceshield_hf import (
    FaceShieldConfig,
    FaceShieldForConditionalGeneration,
    FaceShieldImageProcessor,
    FaceShieldProcessor,
)


CHECK = """
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText
from transformers import AutoModelForMultimodalLM, AutoProcessor
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
import faceshield_hf as f

assert type(AutoConfig.for_model("faceshield")) is f.FaceShieldConfig
for mapping in (MODEL_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_FOR_MULTIMODAL_LM_MAPPING):
    assert mapping[f.FaceShieldConfig] is f.FaceShieldForConditionalGeneration
assert IMAGE_PROCESSOR_MAPPING[f.FaceShieldConfig] == {"pil": f.FaceShieldImageProcessor}
assert PROCESSOR_MAPPING[f.FaceShieldConfig] is f.FaceShieldProcessor
print("REGISTERED")
"""


def run(code):
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_auto_classes_make_our_classes(tmp_path, processor):
    tiny_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is FaceShieldConfig
    for auto in (AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM):
        assert type(auto.from_pretrained(tmp_path)) is FaceShieldForConditionalGeneration
        assert type(auto.from_config(tiny_config())) is FaceShieldForConditionalGeneration
    assert type(AutoProcessor.from_pretrained(tmp_path)) is FaceShieldProcessor
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is FaceShieldImageProcessor
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == processor.tokenizer.get_vocab()


@pytest.mark.parametrize(
    "first",
    [
        "import faceshield_hf",
        "from transformers import AutoModel, AutoProcessor; import faceshield_hf",
        "from faceshield_hf.modeling_faceshield import FaceShieldModel",
        "from faceshield_hf.processing_faceshield import FaceShieldProcessor",
        "import faceshield_hf; import transformers.modeling_utils",
        "import faceshield_hf; from transformers import Phi3ForCausalLM",
        "import faceshield_hf; from transformers import pipeline, Trainer",
    ],
)
@pytest.mark.slow
def test_any_order_of_imports_registers(first):
    done = run(f"{first}\n{CHECK}")
    assert "REGISTERED" in done.stdout, done.stderr[-2000:]


def test_importing_the_package_imports_neither_torch_nor_transformers():
    done = run("""
        import sys, faceshield_hf
        heavy = {"torch", "transformers", "numpy", "PIL", "cv2", "gradio", "trl", "datasets"} & set(sys.modules)
        print("HEAVY", sorted(heavy))
    """)
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr[-2000:]


def test_registering_again_changes_nothing():
    finders = list(sys.meta_path)
    faceshield_hf.register()
    assert sys.meta_path == finders


@pytest.mark.parametrize("name", faceshield_hf.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert name in dir(faceshield_hf)
    assert getattr(faceshield_hf, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'FaceSheild'"):
        _ = faceshield_hf.FaceSheild
