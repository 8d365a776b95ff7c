"""What all tests share: one thread, no network, and tiny random models, tokenizers and processors."""

import os
import tempfile


# Before torch and transformers are imported: several test processes share the cores, and nothing may be downloaded.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# What `datasets` keeps goes with the tests: it neither fills the home folder nor answers from an earlier run.
_CACHE = tempfile.TemporaryDirectory(prefix="faceshield-tests-")
os.environ["HF_DATASETS_CACHE"] = _CACHE.name

import pytest  # noqa: E402
import torch  # noqa: E402
from tiny import encode, question, tiny_model, tiny_processor  # noqa: E402


torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def processor():
    """SigLIP-like pictures of 28 x 28 pixels (4 patches a view) and a toy tokenizer with Phi-3's turns."""
    return tiny_processor()


@pytest.fixture(scope="session")
def model():
    """SigLIP + Phi-3 with both views, in eval mode. Shared: a test that changes anything builds its own."""
    return tiny_model()


@pytest.fixture(scope="session")
def inputs(processor):
    """Two questions of different length about two pictures, padded on the left."""
    return encode(processor, [question("Real?", 0), question("Is the face in the image real or spoof?", 1)])
