"""From a path or a Hub id to a loaded model and processor, with every way it can fail named.

It looks at a folder before anything is loaded: are all files there, is it our kind of model, is nothing pickled. It
knows nothing of images, tasks or verdicts. Code inside a checkpoint is never run: the installed classes load it.

Example:
    >>> from faceshield_hf.checkpoints import resolve_checkpoint
    >>> resolve_checkpoint().folder.name  # the one inside the package
    'faceshield-tiny'
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from faceshield_hf.configuration_faceshield import FaceShieldConfig
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.version import __version__


EMBEDDED_CHECKPOINT = Path(__file__).parent / "assets" / "faceshield-tiny"
_REQUIRED = ("config.json", "processor_config.json", "tokenizer_config.json", "tokenizer.json", "chat_template.jinja")
_WEIGHTS, _WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
# What a checkpoint needs from the Hub: no code, no pickles.
_DOWNLOADED = ("*.json", "*.jinja", "*.safetensors", "*.txt", "*.model")
# Where a configuration came from and what wrote it: nothing that a model computes with.
_ORIGIN = ("_name_or_path", "transformers_version", "auto_map")
_LARGEST_SIDE = 4096  # of the pictures that a tower reads
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


class Checkpoint(NamedTuple):
    """A checkpoint's folder, and how verdicts name it.

    Attributes:
        folder (`Path`): with config, weights, tokenizer and processor.
        name (`str`): `"user/model@commit"` for one from the Hub, `"faceshield-tiny@version"` for the embedded one, the
            folder's own name for any other.
    """

    folder: Path
    name: str


def resolve_checkpoint(path: str | Path | None = None, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint's folder and check that it is whole.

    Args:
        path (`str` or `Path`, *optional*): a folder, or a Hub id such as `"user/model"` that is downloaded; the
            checkpoint inside the package when `None`.
        revision (`str`, *optional*): branch, tag or commit of a Hub id.

    Returns:
        [`Checkpoint`]: its folder and its name.

    Raises:
        ValueError: when there is no such folder or Hub repository, a file is missing, or it holds another kind of
            model.
    """
    if path is None:
        found = Checkpoint(EMBEDDED_CHECKPOINT, f"{EMBEDDED_CHECKPOINT.name}@{__version__}")
    elif not Path(path).exists() and _HUB_ID.fullmatch(str(path)):
        folder = _download(str(path), revision)
        found = Checkpoint(folder, f"{path}@{folder.name}")  # the Hub's cache names the folder by the commit
    else:
        found = Checkpoint(Path(path), Path(path).resolve().name)
    if found.folder.is_file():
        raise ValueError(f"got the file {path} as a checkpoint: pass the folder with config.json and the weights")
    if not found.folder.is_dir() and path is None:
        raise ValueError(f"the embedded checkpoint is missing ({found.folder}): install the package again")
    if not found.folder.is_dir():
        raise ValueError(
            f"no checkpoint at {found.folder}: expected a folder that save_pretrained wrote, or a Hub id (user/model)"
        )
    _check_files(found.folder)
    return found


def load_checkpoint(
    folder: Path, device: str | torch.device | None = None, dtype: str | torch.dtype | None = None
) -> tuple[FaceShieldForConditionalGeneration, FaceShieldProcessor]:
    """Load a whole checkpoint, ready for inference.

    Args:
        folder (`Path`): the `folder` that `resolve_checkpoint` gave.
        device (`str` or `torch.device`, *optional*): `best_device()` when `None`.
        dtype (`str` or `torch.dtype`, *optional*): float32 on the CPU and the checkpoint's own elsewhere when `None`.

    Returns:
        `tuple[FaceShieldForConditionalGeneration, FaceShieldProcessor]`: the model in eval mode, and its processor.

    Raises:
        ValueError: when there is no such device, a file is broken, weights are missing or of another shape, pictures
            would be larger than any tower's, the model and the processor do not belong together, or the model does not
            fit onto the device.
    """
    device = torch.device(best_device()) if device is None else _checked_device(device)
    if folder != EMBEDDED_CHECKPOINT:  # a quarter of a second that the package's own files need not spend
        check_sizes(folder)
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else "auto"
    try:
        model, report = FaceShieldForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        processor = FaceShieldProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Each file has a loader of its own that raises what it likes over a broken one; tokenizers raise bare Exceptions.
    except Exception as error:
        raise ValueError(f"the checkpoint {folder} does not load ({error}): download or save it again") from error
    settings = processor.image_processor.to_dict()
    sides = [side for name in ("size", "crop_size") for side in dict(settings.get(name) or {}).values() if side]
    if max(sides, default=0) > _LARGEST_SIDE:
        raise ValueError(
            f"the checkpoint {folder} does not load: its pictures have {max(sides)} pixels a side; expected at most "
            f"{_LARGEST_SIDE}"
        )
    # A checkpoint trained without masking has no mask embedding; nothing reads it at inference.
    missing = sorted(key for key in report["missing_keys"] if "pvtm." not in key)
    if missing:
        raise ValueError(
            f"{folder}: the weights lack {len(missing)} of the model's tensors (first: {missing[0]}), which would "
            "stay random: was config.json changed, or the folder saved by other code?"
        )
    if processor.image_token_id != model.config.image_token_id:
        raise ValueError(
            f"{folder}: the processor writes <image> as token {processor.image_token_id}, the model expects "
            f"{model.config.image_token_id}: save the model and its processor into one folder"
        )
    try:
        model = model.to(device)
    except RuntimeError as error:  # no memory left, above all
        raise ValueError(
            f"the checkpoint {folder} can't be moved to the device {device}: {_first_line(error)}"
        ) from error
    return model.eval(), processor


def set_token_budget(
    model: FaceShieldForConditionalGeneration, processor: FaceShieldProcessor, budget: int | None
) -> None:
    """Let only the most important visual tokens through to the language model, or all again.

    Args:
        model (`FaceShieldForConditionalGeneration`): its configuration is changed.
        processor (`FaceShieldProcessor`): writes as many placeholders.
        budget (`int`, *optional*): tokens an image; all when `None`.

    Raises:
        ValueError: when it is below 1 or above the tokens that an image has.
    """
    # Both refuse a budget that does not fit, here on copies, so that a refused one changes nothing.
    config = FaceShieldConfig.from_dict(model.config.to_dict() | {"vision_token_budget": budget})
    changed = copy.copy(processor)
    changed.vision_token_budget = budget
    written = changed.num_image_tokens
    model.config.vision_token_budget = None if config.vision_token_budget is None else written
    processor.vision_token_budget = budget


def check_sizes(folder: Path) -> None:
    """Compare what a checkpoint's configuration says with what its weights are, before anything of it is allocated.

    Otherwise a configuration of a few bytes could ask for more memory than a machine has.

    Args:
        folder (`Path`): the `folder` that `resolve_checkpoint` gave.

    Raises:
        ValueError: when the two differ.
    """
    shapes: dict[str, list[int]] = {}
    for file in _shards(folder):
        try:
            with safe_open(folder / file, framework="pt") as weights:
                shapes |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{folder / file} is no whole file of weights ({error}): download it again") from error
    for name, count in _layer_counts(_read_json(folder / "config.json")):
        if count > len(shapes):  # building layers takes time and memory even without their weights
            raise ValueError(
                f"the checkpoint {folder} does not load: config.json says {name}={count}, but there are only "
                f"{len(shapes)} tensors"
            )
    try:
        config = FaceShieldConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = FaceShieldForConditionalGeneration(config)
    # Configurations of any tower and language model raise what they like over values that make no sense.
    except Exception as error:
        raise ValueError(f"the checkpoint {folder} does not load ({error}): download or save it again") from error
    for name, parameter in model.state_dict().items():
        if name in shapes and list(parameter.shape) != shapes[name]:
            raise ValueError(
                f"the checkpoint {folder} does not load: {name} has the shape {tuple(shapes[name])}, but config.json "
                f"makes it {tuple(parameter.shape)}; was it changed after the weights were saved?"
            )


def best_device() -> str:
    """Name the fastest device of this machine.

    Returns:
        `str`: `"cuda"`, `"mps"` or `"cpu"`.
    """
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def model_digest(model: torch.nn.Module, settings: Mapping[str, Any] | None = None) -> str:
    """A mark of a model in its present state: loading it again does not change it, any other weight or setting does.

    Args:
        model (`torch.nn.Module`): all its weights and buffers count.
        settings (`Mapping[str, Any]`, *optional*): whatever else decides its answers, such as a configuration as a
            dict; where it was loaded from is left out, at any depth.

    Returns:
        `str`: 20 hexadecimal digits.
    """
    told = json.dumps(_without_origin(settings or {}), sort_keys=True, default=str)
    digest = hashlib.sha256(told.encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:20]


def _without_origin(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        return {name: _without_origin(value) for name, value in settings.items() if name not in _ORIGIN}
    return settings


def _checked_device(device: str | torch.device) -> torch.device:
    """Find a device before gigabytes are read for it."""
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    # Each backend says in its own way that it is not there: RuntimeError, AssertionError, NotImplementedError...
    except Exception as error:
        raise ValueError(
            f"got device {str(device)!r}: expected cpu, cuda, mps or another that this machine and its PyTorch have "
            f"({_first_line(error)})"
        ) from error
    return found


def _first_line(error: Exception) -> str:
    """The beginning of a message of PyTorch's, which may go on for pages."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _download(repo_id: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(_DOWNLOADED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{repo_id!r} is no folder here, and the Hub did not give a repository of that name"
            f"{'' if revision is None else f' at revision {revision!r}'}: {reason}"
        ) from error


def _check_files(folder: Path) -> None:
    missing = [name for name in (*_REQUIRED, *_shards(folder)) if not (folder / name).is_file()]
    if (folder / "config.json").is_file():
        found = _read_json(folder / "config.json").get("model_type")
        if found != "faceshield":
            raise ValueError(
                f"{folder} holds a model of type {found!r}, expected 'faceshield': is it the checkpoint of another "
                "model? To build a FaceShield model on it, see FaceShieldForConditionalGeneration."
                "from_vision_text_pretrained"
            )
    if missing:
        pickled = " (weights are read from safetensors only, never from pickles)" if _WEIGHTS in missing else ""
        raise ValueError(
            f"{folder} is no whole checkpoint: {', '.join(missing)} missing{pickled}. Save the model and its "
            "processor into one folder, or download it again"
        )


def _shards(folder: Path) -> list[str]:
    """The names of the files of weights; one that names a path elsewhere is refused."""
    if not (folder / _WEIGHTS_INDEX).is_file():
        return [_WEIGHTS]
    named = _read_json(folder / _WEIGHTS_INDEX).get("weight_map")
    shards = sorted(set(named.values())) if isinstance(named, dict) else []
    if not shards or any(not isinstance(name, str) or Path(name).name != name for name in shards):
        raise ValueError(f"{folder / _WEIGHTS_INDEX} names no files beside it: download or save the checkpoint again")
    return shards


def _layer_counts(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Everything in a configuration, and in those inside it, that says how many layers there are."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _layer_counts(value)
        elif "layers" in name or "depth" in name:
            counts = [count for count in (value if isinstance(value, list) else [value]) if isinstance(count, int)]
            yield name, sum(counts)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, no UTF-8
        raise ValueError(f"{file} is no JSON file ({error}): download it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}, expected a JSON object: download it again")
    return content
