"""What a build is: the keys of `recipes/build-dataset/*.yaml`, read and checked.

Unknown keys are errors, with the known ones in the message. `Config.deciding` is what decides the bytes of the result;
a folder that holds a build with other deciding settings is refused.

Example:
    >>> from faceshield_hf.data.build.config import read_config
    >>> config = read_config({"out": "outputs/demo", "inputs": ["images"], "tasks": {"coarse": 1}})
    >>> config.inputs[0].split, config.assistant.kind
    ('train', 'template')
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from faceshield_hf.data.instruct.assistants import AssistantConfig
from faceshield_hf.data.schema import SPLITS
from faceshield_hf.tasks_faceshield import QUESTIONS, Task


if TYPE_CHECKING:
    from _typeshed import DataclassInstance  # known to type checkers alone

FORMAT = 2
"""Raised when the same settings would give other bytes: unfinished builds of before are then refused."""

_T = TypeVar("_T", bound="DataclassInstance")


@dataclass(frozen=True)
class InputConfig:
    """One folder of labelled images.

    Attributes:
        folder (`str`): holds `metadata.jsonl` and the images.
        source (`str`, *optional*, defaults to `"simulated"`): the data set's name, where the rows don't say it.
        split (`str`, *optional*, defaults to `"train"`): "train", "validation" or "test", where the rows don't say it;
            "by_subject" parts it by `shares`.
    """

    folder: str
    source: str = "simulated"
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in (*SPLITS, "by_subject"):
            raise ValueError(f"inputs.split is {self.split!r}; expected {', '.join(SPLITS)} or by_subject")


@dataclass(frozen=True)
class ClipConfig:
    """The CLIP filter of descriptions.

    Attributes:
        model (`str`): Hub id or folder of a CLIP or SigLIP.
        revision (`str`, *optional*): branch, tag or commit.
        threshold (`float`, *optional*, defaults to 0.15): the least cosine, -1..1.
        batch_size (`int`, *optional*, defaults to 16): pairs at once.
    """

    model: str
    revision: str | None = None
    threshold: float = 0.15
    batch_size: int = 16

    def __post_init__(self) -> None:
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"filters.clip.threshold is {self.threshold}; expected a cosine, -1 to 1")


@dataclass(frozen=True)
class FiltersConfig:
    """Which filters run, in this order.

    Attributes:
        slips (`bool`, *optional*, defaults to `True`): answers that show what their writer was told.
        keywords (`bool`, *optional*, defaults to `True`): wrong or missing words, with negation.
        spoof_words (`bool`, *optional*, defaults to `False`): descriptions of attacks must hold a word of their type,
            as spoof-aware captions do (I-FAS).
        clip (`ClipConfig`, *optional*): fit of descriptions and images.
        judge (`AssistantConfig`, *optional*): a language model that checks every answer.
    """

    slips: bool = True
    keywords: bool = True
    spoof_words: bool = False
    clip: ClipConfig | None = None
    judge: AssistantConfig | None = None


@dataclass(frozen=True)
class ParaphraseConfig:
    """Other wordings of answers.

    Attributes:
        share (`float`, *optional*, defaults to 0): of the good answers, 0..1.
        assistant (`AssistantConfig`, *optional*): a language model; the lexicon if not given.
    """

    share: float = 0.0
    assistant: AssistantConfig | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"paraphrase.share is {self.share}; expected 0 to 1")


@dataclass(frozen=True)
class CardConfig:
    """What the dataset card says that no count can tell.

    Attributes:
        title (`str`, *optional*, defaults to `"FaceShield instruction data"`): its heading.
        license (`str`, *optional*, defaults to `"other"`): the Hub's name of the licence of the images.
        license_name (`str`, *optional*): its name where the Hub knows none.
        consent (`str`, *optional*): what the people in the images agreed to.
        faces (`str`, *optional*): where the faces come from.
        contact (`str`, *optional*): where to ask for an image to be withdrawn.
        synthetic (`float`, *optional*): share of images of people who don't exist, 0..1; unknown if not given.
    """

    title: str = "FaceShield instruction data"
    license: str = "other"
    license_name: str = ""
    consent: str = ""
    faces: str = ""
    contact: str = ""
    synthetic: float | None = None


@dataclass(frozen=True)
class Config:
    """A whole build.

    Attributes:
        out (`str`): the folder of the data set; working files lie beside it in `<out>.work`.
        inputs (`tuple[InputConfig, ...]`): folders of labelled images.
        tasks (`dict[Task, float]`): questions of each task an image, on average.
        seed (`int`, *optional*, defaults to 0): decides questions, template words and paraphrases.
        limit (`int`, *optional*): the first so many images of all inputs.
        shard_images (`int`, *optional*, defaults to 128): images a file.
        shares (`dict[str, float]`): parts of subjects for inputs split "by_subject"; they add up to 1.
        skip_bad (`bool`, *optional*, defaults to `True`): list what can't be used and go on; else stop at the first.
        assistant (`AssistantConfig`): who writes the answers.
        filters (`FiltersConfig`): what is left out.
        paraphrase (`ParaphraseConfig`): other wordings.
        review (`str`, *optional*): folder of reviewers' decisions to apply.
        card (`CardConfig`): words for the dataset card.
    """

    out: str
    inputs: tuple[InputConfig, ...]
    tasks: dict[Task, float]
    seed: int = 0
    limit: int | None = None
    shard_images: int = 128
    shares: dict[str, float] = field(default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1})
    skip_bad: bool = True
    assistant: AssistantConfig = field(default_factory=AssistantConfig)
    filters: FiltersConfig = field(default_factory=FiltersConfig)
    paraphrase: ParaphraseConfig = field(default_factory=ParaphraseConfig)
    review: str | None = None
    card: CardConfig = field(default_factory=CardConfig)

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("inputs is empty: name at least one folder with a metadata.jsonl")
        if not self.tasks or any(mean <= 0 for mean in self.tasks.values()):
            raise ValueError(f"tasks is {dict(self.tasks)}; expected tasks with a positive number of questions each")
        for task, mean in self.tasks.items():
            if mean > len(QUESTIONS[task]):
                raise ValueError(f"tasks.{task} is {mean}; there are {len(QUESTIONS[task])} wordings of its question")
        if self.shard_images < 1 or (self.limit is not None and self.limit < 1) or self.seed < 0:
            raise ValueError("shard_images and limit must be at least 1, and seed at least 0")
        if (
            set(self.shares) - set(SPLITS)
            or abs(sum(self.shares.values()) - 1) > 1e-6
            or min(self.shares.values()) < 0
        ):
            raise ValueError(f"shares is {self.shares}; expected parts of {', '.join(SPLITS)} that add up to 1")
        names = [(one.source, Path(one.folder).name) for one in self.inputs]
        if len(set(names)) < len(names):
            raise ValueError(
                "two inputs have the same source and folder name, so their images could not be told apart: "
                "give them different folder names or sources"
            )
        if self.filters.spoof_words and Task.DESCRIBE not in self.tasks:
            raise ValueError("filters.spoof_words looks at descriptions: add describe to tasks")

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result's bytes, as plain JSON values."""
        judge, words = self.filters.judge, self.paraphrase.assistant
        return {
            "format": FORMAT,
            "inputs": [[one.source, Path(one.folder).name, one.split] for one in self.inputs],
            "tasks": {task.value: mean for task, mean in self.tasks.items()},
            "seed": self.seed,
            "limit": self.limit,
            "shard_images": self.shard_images,
            "shares": self.shares,
            "assistant": self.assistant.deciding(),
            "filters": {
                "slips": self.filters.slips,
                "keywords": self.filters.keywords,
                "spoof_words": self.filters.spoof_words,
                "clip": self.filters.clip and {k: v for k, v in vars(self.filters.clip).items() if k != "batch_size"},
                "judge": judge and judge.deciding(),
            },
            "paraphrase": {"share": self.paraphrase.share, "assistant": words and words.deciding()},
            "card": vars(self.card),
        }


def read_config(values: Mapping[str, Any]) -> Config:
    """Check the values of a YAML file.

    Args:
        values (`Mapping[str, Any]`): key -> value, as `yaml.safe_load` gives them.

    Returns:
        `Config`

    Raises:
        ValueError: naming the key, what came and what is accepted.
    """
    given = dict(_mapping(values, "the configuration"))
    for name in ("out", "inputs", "tasks"):
        if not given.get(name):
            raise ValueError(f"{name} is missing: a build needs out, inputs and tasks")
    inputs = given["inputs"] if isinstance(given["inputs"], list) else [given["inputs"]]
    given["inputs"] = tuple(_part(InputConfig, {"folder": x} if isinstance(x, str) else x, "inputs") for x in inputs)
    tasks = _mapping(given["tasks"], "tasks")
    unknown = sorted(set(tasks) - {task.value for task in Task})
    if unknown:
        raise ValueError(f"tasks names {unknown}; expected some of {', '.join(task.value for task in Task)}")
    given["tasks"] = {task: float(tasks[task.value]) for task in Task if tasks.get(task.value)}
    given["assistant"] = _part(AssistantConfig, given.get("assistant") or {}, "assistant")
    filters = dict(_mapping(given.get("filters") or {}, "filters"))
    for name, kind in (("clip", ClipConfig), ("judge", AssistantConfig)):
        if filters.get(name):
            filters[name] = _part(kind, filters[name], f"filters.{name}")
    judge = filters.get("judge")
    if isinstance(judge, AssistantConfig) and judge.kind == "template":
        raise ValueError("filters.judge.kind is template; a judge must be local or endpoint")
    given["filters"] = _part(FiltersConfig, filters, "filters")
    words = dict(_mapping(given.get("paraphrase") or {}, "paraphrase"))
    if words.get("assistant"):
        words["assistant"] = _part(AssistantConfig, words["assistant"], "paraphrase.assistant")
        if words["assistant"].kind == "template":
            raise ValueError("paraphrase.assistant.kind is template; leave it out for the lexicon")
    given["paraphrase"] = _part(ParaphraseConfig, words, "paraphrase")
    given["card"] = _part(CardConfig, given.get("card") or {}, "card")
    return _part(Config, given, "the configuration")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {value!r}; expected keys and values")
    return value


def _part(kind: type[_T], values: Any, where: str) -> _T:
    known = [f.name for f in fields(kind)]
    unknown = sorted(set(_mapping(values, where)) - set(known))
    if unknown:
        raise ValueError(f"{where} has the unknown keys {unknown}; known are {', '.join(known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error
