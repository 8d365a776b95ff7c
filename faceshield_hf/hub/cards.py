"""Cards: a repository's README, with the metadata that the Hub indexes and a usage section that names the repository.

A card that is there is kept; its metadata is completed, and its section "Use" is written again for the repository it
goes to. It knows text and YAML; which files stand beside a card it is told.

Example:
    >>> "pipeline(" in model_usage("user/model")
    True
"""

import re
from typing import Any

from huggingface_hub import DatasetCard, ModelCard, RepoCard


_LIMITS = """## Limits

A verdict is an estimate from one picture. Kinds of attacks, cameras and people that the training data lacks are judged
worse; choose the threshold on your own data. **Not for access control on its own.**
"""
_MODEL = """# {name}

A FaceShield model: it tells live faces from presentation attacks, names the attack among 12 types, marks it with boxes
and says why. Made with `faceshield_hf`, an independent re-implementation of FaceShield
([2505.09415](https://arxiv.org/abs/2505.09415)), I-FAS ([2501.01720](https://arxiv.org/abs/2501.01720)) and FaceCoT
([2506.01783](https://arxiv.org/abs/2506.01783)).

{usage}
{limits}"""
_USAGE = """## Use

With transformers alone; the code stands beside the weights. `trust_remote_code` runs it: read it, and pin the commit
that you read.

```python
from transformers import pipeline

detect = pipeline("face-anti-spoofing", model="{repo}", revision="main", trust_remote_code=True)
verdict = detect("photo.jpg")
print(verdict["label"], verdict["score"], verdict["attack_type"], verdict["explanation"])
```

To chat about a photo:

```python
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("{repo}", revision="main", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("{repo}", revision="main", trust_remote_code=True)
image = {{"type": "image", "path": "photo.jpg"}}
question = {{"type": "text", "text": "Why is the face in the image real or spoof?"}}
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": [image, question]}}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
)
answer = model.generate(**inputs, max_new_tokens=128)[0, inputs["input_ids"].shape[1] :]
print(processor.decode(answer, skip_special_tokens=True))
```

With the package (`pip install faceshield-hf`), which runs no code of the repository and adds advice on the photo:

```python
from faceshield_hf import FaceShield

verdict = FaceShield.from_pretrained("{repo}", revision="main").detect("photo.jpg")
print(verdict.label, verdict.score, verdict.boxes)
```
"""
_DATASET = """# {name}

Images of faces and of presentation attacks on them, for face anti-spoofing. Columns of each row are in the viewer;
boxes are fractions 0..1 of the image's width and height.

{usage}
"""
_DATASET_USAGE = """## Use

```python
from datasets import load_dataset

dataset = load_dataset("{repo}", revision="main")
print(dataset)
```
"""
_GATE = {
    "extra_gated_heading": "These are pictures of faces: please say who you are and what you need them for",
    "extra_gated_prompt": (
        "Use the images for research on presentation attack detection only. Don't try to identify anyone, don't "
        "publish single images outside of papers, and delete your copy when the owners ask for it."
    ),
    "extra_gated_fields": {
        "Name": "text",
        "Affiliation": "text",
        "Purpose": "text",
        "I agree to these terms": "checkbox",
    },
}


def model_usage(repo_id: str) -> str:
    """The section "Use" of a model's card.

    Args:
        repo_id (`str`): "user/name".

    Returns:
        `str`: Markdown whose snippets run as they stand.
    """
    return _USAGE.format(repo=repo_id)


def model_card(text: str | None, repo_id: str, metadata: dict[str, Any]) -> str:
    """The card of a checkpoint that goes to a repository.

    Args:
        text (`str`, *optional*): the card it has.
        repo_id (`str`): "user/name".
        metadata (`dict[str, Any]`): for what the card doesn't say itself.

    Returns:
        `str`: the README.
    """
    if text is None:
        text = _MODEL.format(name=repo_id.split("/")[1], usage=model_usage(repo_id), limits=_LIMITS)
    card = ModelCard(_with_usage(text, model_usage(repo_id)), ignore_metadata_errors=True)
    return _completed(card, metadata)


def dataset_card(text: str | None, repo_id: str, metadata: dict[str, Any], gated: bool) -> str:
    """The card of a data set that goes to a repository.

    Args:
        text (`str`, *optional*): the card it has.
        repo_id (`str`): "user/name".
        metadata (`dict[str, Any]`): for what the card doesn't say itself.
        gated (`bool`): whether to add the questions that a visitor must answer first.

    Returns:
        `str`: the README.
    """
    usage = _DATASET_USAGE.format(repo=repo_id)
    if text is None:
        text = _DATASET.format(name=repo_id.split("/")[1], usage=usage)
    card = DatasetCard(_with_usage(text, usage), ignore_metadata_errors=True)
    return _completed(card, metadata | (_GATE if gated else {}))


def _with_usage(text: str, usage: str) -> str:
    """Put a section "Use" in place of the card's own, or at its end."""
    section = re.compile(r"^## Use\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    # A function, so that backslashes in the text are no references to groups.
    text, found = section.subn(lambda match: usage + "\n", text, count=1)
    return text if found else text.rstrip() + "\n\n" + usage


def _completed(card: RepoCard, metadata: dict[str, Any]) -> str:
    known = card.data.to_dict()
    for name, value in metadata.items():
        if name not in known and value is not None:
            setattr(card.data, name, value)
    return str(card)
