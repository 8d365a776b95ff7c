"""One shard of a build: some images in; records, skipped items and counts out.

The steps are read, ask, write answers, filter, paraphrase, apply reviews; the result depends on the configuration and
the images alone, never on other shards or on what was interrupted. Files appear only when they are whole.

Example:
    >>> from faceshield_hf.data.build.shards import shard_bounds
    >>> shard_bounds(300, 128)
    [(0, 128), (128, 256), (256, 300)]
"""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faceshield_hf.data.build.config import Config
from faceshield_hf.data.build.inputs import Inputs, Skip
from faceshield_hf.data.build.statistics import add_counts, count
from faceshield_hf.data.filters.clip_score import ClipScorer
from faceshield_hf.data.filters.judge import judge
from faceshield_hf.data.filters.keywords import keyword_fault, own_words
from faceshield_hf.data.filters.slips import slip
from faceshield_hf.data.instruct.assistants import Assistant, AssistantConfig, make_assistant
from faceshield_hf.data.instruct.drafts import Draft, Picture, plan_questions, unanswerable
from faceshield_hf.data.instruct.paraphrase import paraphrase
from faceshield_hf.data.instruct.prompts import PROMPT_VERSION
from faceshield_hf.data.instruct.template import TemplateAssistant
from faceshield_hf.data.instruct.writing import write_answers
from faceshield_hf.data.review.decisions import Verdicts, apply_decision
from faceshield_hf.data.schema import SPLITS, features, validate_record
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.tasks_faceshield import Task
from faceshield_hf.whole_files import whole_file, write_json, write_whole


class ShardBuilder:
    """Builds shards; models are loaded when the first one needs them.

    Args:
        config (`Config`): the build.
        inputs (`Inputs`): its images.
        work (`Path`): folder of working files.
        processes (`int`, *optional*, defaults to 1): processes of this build.
        warn (`Callable`, *optional*): told of requests that are given up.
    """

    def __init__(
        self,
        config: Config,
        inputs: Inputs,
        work: Path,
        processes: int = 1,
        warn: Callable[[str], None] = print,
    ):
        self.config, self.inputs, self.work = config, inputs, work
        self._processes, self._warn = processes, warn
        self._loaded: dict[str, Assistant] = {}
        self._verdicts = Verdicts.read(config.review) if config.review else None

    def build(self, number: int, start: int, stop: int) -> dict[str, Any]:
        """Build one shard and write its files; its mark comes last.

        Args:
            number (`int`): the shard's number.
            start (`int`): its first image.
            stop (`int`): the image after its last.

        Returns:
            `dict`: its counts.
        """
        pictures: list[Picture] = []
        skips: list[Skip] = []
        for item in self.inputs.read(start, stop):
            if isinstance(item, Picture):
                pictures.append(item)
            else:
                skips.append(item)
        skips += [
            Skip(picture.name, "ask", reason, task.value)
            for picture in pictures
            for task in self.config.tasks
            if (reason := unanswerable(picture.sample, task))
        ]
        drafts = [d for picture in pictures for d in plan_questions(picture, self.config.tasks, self.config.seed)]
        stats: dict[str, Any] = {"filters": {}}
        passes = write_answers(drafts, self._writer, self.config.seed, self.config.assistant.few_shot)
        stats["passes"] = vars(passes)
        self._filter(drafts, stats["filters"])
        self._review(drafts)
        drafts = self._paraphrase(drafts, stats)
        records = self._records(drafts)
        skips += [_skip_of(draft) for draft in drafts if draft.fault]
        add_counts(stats, count(stop - start, drafts, skips))
        stats["unanswered"] = sum(draft.passing for draft in drafts if draft.fault)
        self._write(number, records, [d for d in drafts if d.fault and d.answer], skips, stats)
        return stats

    def _records(self, drafts: Sequence[Draft]) -> list[dict[str, Any]]:
        records = []
        for draft in drafts:
            if draft.fault:
                continue
            record = draft.record(PROMPT_VERSION)
            try:
                validate_record(record, draft.picture.name)
            except ValueError as error:
                if not self.config.skip_bad:
                    raise
                draft.reject("schema", str(error))
                continue
            records.append(record)
        return records

    def _filter(self, drafts: Sequence[Draft], stats: dict[str, Any]) -> None:
        """Run the filters in their order; each sees what the ones before it let through."""
        filters = self.config.filters
        if filters.slips:
            _run("slips", drafts, stats, lambda draft: slip(draft.answer))
        if filters.keywords:
            _run("keywords", drafts, stats, _keywords)
        if filters.spoof_words:
            _run("spoof_words", [d for d in drafts if d.task is Task.DESCRIBE], stats, _spoof_words)
        if filters.clip is not None:
            described = [d for d in drafts if d.task is Task.DESCRIBE and not d.fault]
            images = [to_rgb_image(d.picture.content) for d in described]
            for draft, score in zip(described, self._clip.score(images, [d.answer for d in described]), strict=True):
                draft.clip_score = score
            _run("clip", described, stats, self._low_score)
        if filters.judge is not None:
            seen = [draft for draft in drafts if not draft.fault]
            unreadable = judge(seen, self._judge)
            answered = [draft for draft in seen if not draft.passing]
            passed = sum(not draft.fault for draft in answered)
            stats["judge"] = {"seen": len(answered), "passed": passed, "unreadable": unreadable}

    def _review(self, drafts: Sequence[Draft]) -> None:
        if self._verdicts is not None:
            for draft in drafts:
                apply_decision(draft, self._verdicts)

    def _low_score(self, draft: Draft) -> str:
        threshold = self.config.filters.clip.threshold if self.config.filters.clip else -1.0
        score = draft.clip_score if draft.clip_score is not None else 0.0
        return "" if score >= threshold else f"the cosine of image and text is below {threshold:g} ({score:.4f})"

    def _paraphrase(self, drafts: list[Draft], stats: dict[str, Any]) -> list[Draft]:
        settings = self.config.paraphrase
        if not settings.share:
            return drafts
        new, stats["paraphrase"] = paraphrase(drafts, self._rephraser, settings.share, self.config.seed)
        # A paraphrase is held to the same words as what it says again.
        stats["paraphrase_filters"] = {}
        if self.config.filters.slips:
            _run("slips", new, stats["paraphrase_filters"], lambda draft: slip(draft.answer))
        if self.config.filters.keywords:
            _run("keywords", new, stats["paraphrase_filters"], _keywords)
        for draft in new:
            draft.review = "unreviewed"
        self._review(new)
        return sorted([*drafts, *new], key=lambda d: (d.picture.name, d.task.value, d.index))

    def _write(
        self,
        number: int,
        records: list[dict[str, Any]],
        rejected: list[Draft],
        skips: list[Skip],
        stats: dict[str, Any],
    ) -> None:
        data = Path(self.config.out) / "data"
        for split in SPLITS:
            write_parquet(data / f"{split}-{number:05d}.parquet", [r for r in records if r["split"] == split])
        told = [d.record(PROMPT_VERSION) for d in rejected]
        for draft, record in zip(rejected, told, strict=True):
            record["provenance"]["filters"] = json.dumps({**draft.filters, "fault": draft.fault}, sort_keys=True)
        write_parquet(self.work / "rejected" / f"{number:05d}.parquet", told)
        lines = "".join(skip.line() for skip in skips)
        write_whole(self.work / "skipped" / f"{number:05d}.jsonl", lines)
        write_json(self.work / "shards" / f"{number:05d}.json", stats, sort_keys=True)

    @functools.cached_property
    def _writer(self) -> Assistant | TemplateAssistant:
        if self.config.assistant.kind == "template":
            return TemplateAssistant()
        return self._model(self.config.assistant)

    @functools.cached_property
    def _judge(self) -> Assistant:
        assert self.config.filters.judge is not None
        return self._model(self.config.filters.judge)

    @functools.cached_property
    def _rephraser(self) -> Assistant | None:
        settings = self.config.paraphrase.assistant
        return None if settings is None else self._model(settings)

    @functools.cached_property
    def _clip(self) -> ClipScorer:
        settings = self.config.filters.clip
        assert settings is not None
        return ClipScorer(settings.model, settings.revision, settings.batch_size)

    def _model(self, settings: AssistantConfig) -> Assistant:
        """The model of these settings; one that is writer and judge at once is loaded once."""
        key = json.dumps(settings.deciding(), sort_keys=True)
        if key not in self._loaded:
            self._loaded[key] = make_assistant(settings, str(self.work / "answers"), self._processes, self._warn)
        return self._loaded[key]


def shard_bounds(images: int, size: int) -> list[tuple[int, int]]:
    """First and last-but-one image of every shard."""
    return [(start, min(start + size, images)) for start in range(0, images, size)]


def write_parquet(path: Path, records: list[dict[str, Any]]) -> None:
    """Write records as one parquet file, each image stored once however many records it has; none: no file.

    Args:
        path (`Path`): the file, which appears only when it is whole; an older one is replaced or removed.
        records (`list[dict]`): records with encoded images.

    Raises:
        OSError: when it can't be written, such as on a full disk.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not records:
        path.unlink(missing_ok=True)
        return
    table = pa.Table.from_pylist(records, schema=features().arrow_schema)
    with whole_file(path) as part:
        # The dictionary holds each different image once; the default limit of a megabyte would give it up.
        pq.write_table(table, part, compression="zstd", dictionary_pagesize_limit=1 << 30)


def _run(name: str, drafts: Sequence[Draft], stats: dict[str, Any], fault: Callable[[Draft], str]) -> None:
    counts = stats.setdefault(name, {"seen": 0, "passed": 0})
    for draft in drafts:
        if draft.fault:
            continue
        reason = fault(draft)
        draft.filters[name] = not reason
        counts["seen"] += 1
        counts["passed"] += not reason
        if reason:
            draft.reject(name, reason)


def _keywords(draft: Draft) -> str:
    return keyword_fault(draft.answer, draft.picture.sample.attack_type, draft.task)


def _spoof_words(draft: Draft) -> str:
    kind = draft.picture.sample.attack_type
    return "" if kind.is_live or own_words(draft.answer, kind) else f"holds no word of {kind.value}"


def _skip_of(draft: Draft) -> Skip:
    step, _, reason = draft.fault.partition(": ")
    return Skip(draft.picture.name, step, reason, draft.task.value, draft.id, draft.answer)
