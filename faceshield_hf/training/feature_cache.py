"""Vision features of a frozen tower, computed once and read from disk in every epoch after.

What the connector reads of an image never changes while the tower is frozen and pictures are not augmented. Here it
is computed once for every distinct image (several questions share one), kept as safetensors shards that are read
through memory maps, and given to `forward` as `vision_features` instead of pictures, which then are not even decoded.
A folder is named after everything that the features depend on, so a cache never serves another tower. Any number of
processes can fill and read one folder at a time: each writes shards of its own, whole or not at all.

It knows the model, the processor and TRL's collator; it knows no loss and no schedule.

Example:
    >>> from faceshield_hf.training.feature_cache import use_feature_cache
    >>> dataset, collate = use_feature_cache("outputs/features", model, processor, dataset)  # doctest: +SKIP
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from faceshield_hf import image_processing_faceshield, savp_faceshield, towers_faceshield
from faceshield_hf.checkpoints import model_digest
from faceshield_hf.processing_faceshield import IMAGE_TOKEN, FaceShieldProcessor
from faceshield_hf.training.processors import as_kind
from faceshield_hf.version import __version__
from faceshield_hf.whole_files import whole_file


FORMAT = 1
SHARD_BYTES = 128 * 1024**2
NAMES = ("vision_features", "vision_pooled")
_ROW = "feature_row"
# The code that makes pictures and reads the tower: other code, other features.
_READERS = (image_processing_faceshield, savp_faceshield, towers_faceshield)


class FeatureCache:
    """A folder of shards, each `vision_features (n, tokens, channels)` and the keys of its n images.

    Args:
        folder (`str` or `Path`): where caches live; this one gets a folder of its own in it.
        model (`FaceShieldForConditionalGeneration`): its tower is frozen.
        processor (`FaceShieldProcessor`): makes the pictures.
        dtype (`torch.dtype`): of the stored features, and of the tower's computation if it is `torch.bfloat16`.

    Raises:
        ValueError: when the tower learns.
    """

    def __init__(
        self, folder: str | Path, model: Any, processor: FaceShieldProcessor, dtype: torch.dtype = torch.float16
    ) -> None:
        check_frozen(model)
        self.model = model
        self.processor = processor
        self.dtype = dtype
        self.folder = Path(folder) / fingerprint(model, processor, dtype)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shards: dict[str, Any] = {}
        self._places: dict[str, tuple[str, int]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether an image's features are on disk, as far as `scan` has seen."""
        return key in self._places

    def scan(self) -> None:
        """Look for shards that this or another process has finished."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name not in self._shards:
                shard = safe_open(path, framework="pt")
                self._shards[path.name] = shard
                for row, key in enumerate(json.loads(shard.metadata()["keys"])):
                    self._places[key] = (path.name, row)

    def fill(self, images: dict[str, Any], process: int = 0, num_processes: int = 1, batch_size: int = 8) -> int:
        """Compute what is missing; every process takes its share.

        Args:
            images (`dict`): key -> image as the processor takes it (a path, bytes).
            process (`int`, *optional*, defaults to 0): which share.
            num_processes (`int`, *optional*, defaults to 1): how many shares.
            batch_size (`int`, *optional*, defaults to 8): images a forward.

        Returns:
            `int`: how many images this process computed.

        Raises:
            ValueError: for an image that can't be read, or features that don't fit the stored type.
        """
        self.scan()
        # Shares go by key: a process that looks later, and finds more done, still has the same share.
        share = (key for key in images if int(key, 16) % num_processes == process)
        missing = sorted(key for key in share if key not in self)
        kept: dict[str, dict[str, torch.Tensor]] = {}
        bar = tqdm(total=len(missing), desc="vision features", unit="image", disable=not missing or process > 0)
        for start in range(0, len(missing), batch_size):
            keys = missing[start : start + batch_size]
            kept.update(zip(keys, self._compute([images[key] for key in keys]), strict=True))
            if sum(t.nbytes for rows in kept.values() for t in rows.values()) >= SHARD_BYTES:
                self._write(kept)
                kept = {}
            bar.update(len(keys))
        bar.close()
        if kept:
            self._write(kept)
        self.scan()
        return len(missing)

    def read(self, keys: list[str]) -> dict[str, torch.Tensor]:
        """The features of some images, as arguments of the model's `forward`.

        Args:
            keys (`list[str]`): images, in the order of their placeholders.

        Returns:
            `dict[str, torch.Tensor]`: `vision_features (images, tokens, channels)` and, for a globally aware
                connector, `vision_pooled (images, views, channels)`.

        Raises:
            ValueError: for an image that is not in the cache.
        """
        for key in keys:
            if key not in self:
                raise ValueError(f"{self.folder} has no features of image {key}: call fill() with it first")
        rows = [self._read_row(*self._places[key]) for key in keys]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _read_row(self, shard: str, row: int) -> dict[str, torch.Tensor]:
        opened = self._shards[shard]
        return {name: opened.get_slice(name)[row] for name in opened.keys()}  # noqa: SIM118 (no mapping)

    @torch.no_grad()
    def _compute(self, images: list[Any]) -> list[dict[str, torch.Tensor]]:
        inner = self.model.model
        device = inner.vision_tower.device
        pictures = self.processor.image_processor(
            self.processor.image_processor.fetch_images(images), return_tensors="pt"
        )
        was_training = inner.training
        inner.eval()
        with torch.autocast(device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            features = inner.get_image_features(**{name: value.to(device) for name, value in pictures.items()})
        inner.train(was_training)
        stored = {name: features.get(name) for name in NAMES}
        stored = {name: value.to(self.dtype).cpu() for name, value in stored.items() if value is not None}
        if not all(value.isfinite().all() for value in stored.values()):
            raise ValueError(
                f"the tower's features don't fit {self.dtype}: set `bf16: true`, which stores bfloat16 where the "
                "processor computes in it, or leave cache_vision_features out"
            )
        return [{name: value[i].contiguous() for name, value in stored.items()} for i in range(len(images))]

    def _write(self, rows: dict[str, dict[str, torch.Tensor]]) -> None:
        keys = list(rows)
        tensors = {name: torch.stack([rows[key][name] for key in keys]) for name in rows[keys[0]]}
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:20]
        with whole_file(self.folder / f"{name}.safetensors", several_writers=True) as part:
            save_file(tensors, part, metadata={"keys": json.dumps(keys)})


def check_frozen(model: Any) -> None:
    """Refuse a model whose tower learns: features kept from its first step would be wrong after it.

    Args:
        model (`FaceShieldForConditionalGeneration`): after freezing, LoRA included.

    Raises:
        ValueError: when a parameter of the tower requires a gradient.
    """
    learning = [name for name, value in model.named_parameters() if "vision_tower." in name and value.requires_grad]
    if learning:
        raise ValueError(
            f"cache_vision_features needs a frozen vision tower, but {len(learning)} of its tensors learn (such as "
            f"{learning[0]}): take vision_tower out of train_parts (and out of LoRA's targets), or unset "
            "cache_vision_features"
        )


def fingerprint(model: Any, processor: FaceShieldProcessor, dtype: torch.dtype) -> str:
    """A name for everything that the connector's inputs depend on, apart from the image.

    Args:
        model (`FaceShieldForConditionalGeneration`): its tower's weights and how they are read.
        processor (`FaceShieldProcessor`): its image processor's settings.
        dtype (`torch.dtype`): how features are computed and stored.

    Returns:
        `str`: 20 hexadecimal digits.
    """
    config, tower = model.config, model.model.vision_tower
    settings = {
        "format": FORMAT,
        "version": __version__,
        "dtype": str(dtype),
        "tower": tower.config.to_dict(),
        "image_processor": processor.image_processor.to_dict(),
        "code": [hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest() for module in _READERS],
        "reads": [config.vision_feature_layer, config.use_sav, config.projector_downsample, config.connector],
    }
    return model_digest(tower, settings)


def image_key(image: dict[str, Any]) -> str:
    """The key of an encoded image: a hash of its bytes, so a changed file is another image.

    Args:
        image (`dict`): `path` and `bytes`, as `datasets.Image(decode=False)` gives them.

    Returns:
        `str`: 32 hexadecimal digits.
    """
    content = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    return hashlib.sha256(content).hexdigest()[:32]


def use_feature_cache(
    folder: str | Path,
    model: Any,
    processor: FaceShieldProcessor,
    datasets: list[Any],
    accelerator: Any,
    bf16: bool,
) -> tuple[list[Any], FeatureCache]:
    """Fill the cache with the images of data sets, and put keys in the images' place.

    Args:
        folder (`str` or `Path`): where caches live.
        model (`FaceShieldForConditionalGeneration`): its tower is frozen.
        processor (`FaceShieldProcessor`): makes the pictures.
        datasets (`list[datasets.Dataset]`): each with a column `image`.
        accelerator (`accelerate.PartialState` or `Accelerator`): shares the work between processes.
        bf16 (`bool`): whether training computes in bfloat16.

    Returns:
        `tuple[list[datasets.Dataset], FeatureCache]`: the data sets with keys in `image`, and the cache that
            `FeatureCollator` reads.

    Raises:
        ValueError: when the tower learns or an image can't be read.
    """
    from datasets import Image

    cache = FeatureCache(folder, model, processor, torch.bfloat16 if bf16 else torch.float16)
    images: dict[str, Any] = {}
    keyed = []
    for dataset in datasets:
        encoded = dataset.cast_column("image", Image(decode=False))
        keys = []
        seen: dict[str, str] = {}  # several records name one file: it is read once
        for image in tqdm(
            _column(encoded, "image"), total=len(dataset), desc="images", disable=not accelerator.is_main_process
        ):
            name = image["path"] if image["bytes"] is None else None
            key = (None if name is None else seen.get(name)) or image_key(image)
            if name is not None:
                seen[name] = key
            images.setdefault(key, name or image["bytes"])
            keys.append(key)
        keyed.append(dataset.remove_columns("image").add_column("image", keys))
    cache.fill(images, accelerator.process_index, accelerator.num_processes)
    accelerator.wait_for_everyone()
    cache.scan()
    return keyed, cache


def _column(dataset: Any, name: str) -> Iterator[Any]:
    for batch in dataset.select_columns(name).iter(batch_size=256):
        yield from batch[name]


class FeatureCollator:
    """TRL's collator, with cached features where it would process pictures.

    Args:
        collator (`DataCollatorForVisionLanguageModeling`): what the trainer made; its processor is replaced.
        cache (`FeatureCache`): filled with every image that comes.
    """

    def __init__(self, collator: Any, cache: FeatureCache) -> None:
        collator.processor = FeatureProcessor.reading(cache)
        self.collator = collator

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch of examples whose `image` is a key of the cache."""
        return self.collator([{**example, "image": stand_in(example["image"])} for example in examples])


class FeatureProcessor(FaceShieldProcessor):
    """The processor, except that an image stands for its features in a cache."""

    cache: FeatureCache

    @classmethod
    def reading(cls, cache: FeatureCache) -> "FeatureProcessor":
        """Copy the settings of a cache's own processor."""
        reader = as_kind(cls, cache.processor)
        reader.cache = cache
        return reader

    def _process_images(self, images: Any, **kwargs: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Read features instead of making pictures."""
        pictures = [p for sample in images for p in (sample if isinstance(sample, list | tuple) else [sample])]
        features = self.cache.read([picture.info[_ROW] for picture in pictures])
        return features, [IMAGE_TOKEN * self.num_image_tokens] * len(pictures)


def stand_in(key: str) -> PIL.Image.Image:
    """A picture of one pixel that carries a cache's key through the processor, which checks that images are images."""
    picture = PIL.Image.new("L", (1, 1))
    picture.info[_ROW] = key
    return picture
