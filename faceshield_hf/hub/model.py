"""Checkpoints for the Hub: weights, processor, the code that loads them without the package, and the card.

The code that goes is that of the installed package, so that a checkpoint saved by an older version is pushed with
classes that are known to load it. Nothing but what a checkpoint consists of goes: no optimizer state, no pickles.

Example:
    >>> plan = plan_checkpoint(None, "user/model", private=True)
    >>> "model.safetensors" in plan.files
    True
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

import faceshield_hf
from faceshield_hf.base_faceshield import AUTO_MAP
from faceshield_hf.checkpoints import load_checkpoint, resolve_checkpoint
from faceshield_hf.hub.cards import model_card
from faceshield_hf.hub.commit import Gated, Plan, Pushed, check_repo_id, local_files, push
from faceshield_hf.hub.report import eval_results
from faceshield_hf.pipeline_faceshield import CUSTOM_PIPELINES


CHECKPOINT_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "processor_config.json",
    "preprocessor_config.json",
    "chat_template.jinja",
    "tokenizer*",
    "prompt_tokenizer/*",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "vocab.*",
    "spiece.model",
    "report.json",
    "training*.json",
    "LICENSE*",
)
_TAGS = ["face-anti-spoofing", "presentation-attack-detection", "liveness", "faceshield", "custom_code"]


def plan_checkpoint(
    folder: str | Path | None, repo_id: str, private: bool = False, gated: Gated = None, license: str = "apache-2.0"
) -> Plan:
    """Say what pushing a checkpoint would do.

    Args:
        folder (`str` or `Path`, *optional*): a checkpoint; the embedded one when `None`.
        repo_id (`str`): "user/name".
        private (`bool`, *optional*, defaults to `False`): whether only you may see it.
        gated (`str`, *optional*): "auto" or "manual".
        license (`str`, *optional*, defaults to "apache-2.0"): of the weights, unless the card says one.

    Returns:
        [`Plan`]: to look at or to `push`.

    Raises:
        ValueError: when the checkpoint is not whole, or the id is none.
    """
    check_repo_id(repo_id)
    root = resolve_checkpoint(folder).folder
    files = local_files(root, CHECKPOINT_FILES)
    package = Path(faceshield_hf.__file__).parent
    files |= local_files(package, ("*_faceshield.py",))
    files["config.json"] = _config(root / "config.json")
    card = root / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else None
    metadata = _metadata(root, repo_id, license)
    files["README.md"] = model_card(text, repo_id, metadata).encode()
    return Plan("model", repo_id, files, private, gated)


def push_checkpoint(
    folder: str | Path | None,
    repo_id: str,
    private: bool = False,
    gated: Gated = None,
    license: str = "apache-2.0",
    update: bool = False,
    message: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Push a checkpoint that loads anywhere with `trust_remote_code=True`.

    What would go is loaded once first, from a folder that holds nothing else: what does not load here is not pushed.

    Args:
        folder (`str` or `Path`, *optional*): a checkpoint; the embedded one when `None`.
        repo_id (`str`): "user/name".
        private (`bool`, *optional*, defaults to `False`): as in `plan_checkpoint`.
        gated (`str`, *optional*): as in `plan_checkpoint`.
        license (`str`, *optional*, defaults to "apache-2.0"): as in `plan_checkpoint`.
        update (`bool`, *optional*, defaults to `False`): as in `push`.
        message (`str`, *optional*): as in `push`.
        token (`str`, *optional*): as in `push`.

    Returns:
        [`Pushed`]: page and commit.

    Raises:
        ValueError: as `plan_checkpoint`, `load_checkpoint` and `push` do.
    """
    plan = plan_checkpoint(folder, repo_id, private, gated, license)
    _check_loads(plan)
    return push(plan, update, message, token)


def _check_loads(plan: Plan) -> None:
    """Load what a plan would push as those who download it will: the checkpoint's own folder may hold more."""
    with tempfile.TemporaryDirectory(prefix="faceshield-push-") as folder:
        for path, content in plan.files.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                _lay(content.resolve(), file)
        try:
            load_checkpoint(resolve_checkpoint(folder).folder, "cpu")
        except ValueError as error:
            raise ValueError(f"what would go to {plan.repo_id} does not load, so nothing was sent: {error}") from error


def _lay(source: Path, file: Path) -> None:
    """Put a file into a folder, by a link where there are links: weights may be many gigabytes."""
    try:
        file.symlink_to(source)
    except OSError:  # Windows lets only some users make links
        shutil.copyfile(source, file)


def _config(file: Path) -> bytes:
    config = json.loads(file.read_text(encoding="utf-8"))
    config["auto_map"] = {**config.get("auto_map", {}), **AUTO_MAP}
    config["custom_pipelines"] = CUSTOM_PIPELINES
    return (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()


def _metadata(root: Path, repo_id: str, license: str) -> dict[str, Any]:
    """What the Hub indexes, with the numbers of the checkpoint's own report."""
    file = root / "report.json"
    reports = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "score" in reports:  # one report, not several by name
        reports = {str(reports.get("name") or "evaluation"): reports}
    data = ModelCardData(
        language="en",
        license=license,
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=_TAGS,
        model_name=repo_id.split("/")[1],
        eval_results=eval_results(reports) if reports else None,
    )
    return {name: value for name, value in vars(data).items() if value is not None}
