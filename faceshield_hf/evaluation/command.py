"""`faceshield evaluate`: judge any system on labelled images, by a protocol, and write the report.

It reads options, puts the parts together and says what went wrong in one line. Under `accelerate launch` every process
judges its share and the first one reports.

Example:
    >>> from faceshield_hf.evaluation.command import make_parser
    >>> make_parser().parse_args(["--data", "images", "--out", "report"]).scorer
    'faceshield'
"""

import argparse
import importlib.util
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceshield_hf.checkpoints import best_device
from faceshield_hf.data.samples import Sample, read_samples
from faceshield_hf.decision import TASKS
from faceshield_hf.evaluation.calibration import fit_margin
from faceshield_hf.evaluation.evaluate import collect, markdown_table, processes, summarize, write_report
from faceshield_hf.evaluation.judged import Judged, check_attribute, mean_over, template_references
from faceshield_hf.evaluation.metrics import eer_threshold
from faceshield_hf.evaluation.protocols import Assigned, Protocol, assign, keep_together, load_protocol
from faceshield_hf.evaluation.scorers import CsvScorer, FaceShieldScorer, Scorer, blank_score
from faceshield_hf.evaluation.summary import image_errors, with_scores
from faceshield_hf.tasks_faceshield import Task


SCORERS = ("faceshield", "zero-shot", "clip", "resnet", "csv")
EPOCHS = 10
_PACKAGES = ("nltk", "rouge_score", "sacrebleu", "scipy", "yaml")
_ONLY_FOR = {  # option -> systems that heed it
    "revision": ("faceshield", "zero-shot", "clip", "resnet"),
    "token_budget": ("faceshield",),
    "device": ("faceshield", "zero-shot", "clip", "resnet"),
    "trust_remote_code": ("zero-shot",),
    "tasks": ("faceshield", "zero-shot"),
    "epochs": ("resnet",),
}


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="faceshield evaluate",
        description="Judge a system on labelled images and write report.json, report.md and plots.",
        epilog="A folder is given as PATH or as NAME=PATH, where NAME is what protocols call the data set.",
    )
    _add_images(parser.add_argument_group("images"))
    _add_system(parser.add_argument_group("system"))
    _add_report(parser.add_argument_group("report"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv (`Sequence[str]`, *optional*): its arguments; those of the process if missing.

    Returns:
        `int`: 0, or 2 after bad input, which is told in one line on standard error.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = make_parser().parse_args(words)
    try:
        run(options, words)
    except ModuleNotFoundError as error:
        print(f"faceshield evaluate: needs {error.name}: pip install 'faceshield-hf[eval]'", file=sys.stderr)  # noqa: T201
        return 2
    except (ValueError, OSError) as error:  # transformers tells of missing models by OSError
        print(f"faceshield evaluate: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def run(options: argparse.Namespace, words: Sequence[str] = ()) -> None:
    """Judge, summarize, write and print.

    Raises:
        ValueError: for anything wrong with folders, protocol or system.
    """
    out = Path(options.out)
    check_packages(plots=not options.no_plots)
    _check_options(options)
    protocol, splits = read_splits(options)
    for split in ("test", "dev"):
        _check_classes(getattr(splits, split), split)
    test, dev = _limited(splits.test, options.limit), _limited(splits.dev, options.limit)
    if options.average_over:
        check_attribute([*test, *dev], options.average_over)
    beside = [read_report(path) for path in options.beside]
    references = read_references(options.references, test) if options.references else template_references(test)
    scorer = make_scorer(options, splits.train, out)
    if isinstance(scorer, CsvScorer):
        scorer.check_unambiguous(str(sample.path) for sample in [*test, *dev])
    judged = collect(scorer, test, out / "answers", options.batch_size)
    on_dev = collect(scorer, dev, out / "answers-dev", options.batch_size) if dev else None
    prior = blank_score(scorer) if options.debias else None
    if processes().is_main_process:
        told: dict[str, Any] = {"errors": image_errors(judged)}  # image by image, also where a video's are averaged
        if options.average_over:
            judged = mean_over(judged, options.average_over)
            on_dev = None if on_dev is None else mean_over(on_dev, options.average_over)
        told |= {"left_out": splits.left_out} if protocol else {}
        report = _report(options, words, protocol, scorer, judged, on_dev, references, splits.train, prior) | told
        write_report(report, out, beside)  # before the plots, which are less worth
        if not options.no_plots:
            write_report(report, out, beside, _plots(scorer, judged, report, out))
        print(markdown_table(report))  # noqa: T201
        print(f"\nwritten: {out / 'report.md'}")  # noqa: T201
    processes().wait_for_everyone()


def check_packages(plots: bool = True) -> None:
    """Look for the packages of the `eval` extra before hours of judging, not after.

    Args:
        plots (`bool`, *optional*, defaults to `True`): whether pictures will be drawn.

    Raises:
        ModuleNotFoundError: naming the first that is missing.
    """
    for name in (*_PACKAGES, *(("matplotlib",) if plots else ())):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"the report needs {name}: pip install 'faceshield-hf[eval]'", name=name)


def read_splits(options: argparse.Namespace) -> tuple[Protocol | None, Assigned]:
    """The images by split, from a protocol or from the folders as they are given.

    Raises:
        ValueError: when a subject or an image falls into two splits, or what is given fits no protocol.
    """
    data = _folders(options.data)
    if not options.protocol:
        return None, _apart(train=_folders(options.train), dev=_folders(options.dev), data=data)
    if options.dev or options.train:
        raise ValueError("a protocol parts the --data folders by itself: leave out --dev and --train")
    file, _, name = options.protocol.rpartition(":") if ".yaml:" in options.protocol else (options.protocol, "", "")
    protocol = load_protocol(file, name or None)
    return protocol, assign(protocol, data, ("train", "test") if options.scorer == "resnet" else ("test",))


def make_scorer(options: argparse.Namespace, train: Sequence[Sample], out: Path) -> Scorer:
    """The system that the options name; a ResNet is trained first."""
    tasks = [Task(task) for task in options.tasks or TASKS]
    state = processes()
    device = options.device or (str(state.device) if state.num_processes > 1 else best_device())
    if options.scorer == "faceshield":
        from faceshield_hf.detector import FaceShield

        detector = FaceShield.from_pretrained(
            options.model, device, revision=options.revision, vision_token_budget=options.token_budget
        )
        return FaceShieldScorer(detector, tasks)
    if options.model is None:
        raise ValueError(f"--scorer {options.scorer} needs --model")
    if options.scorer == "csv":
        return CsvScorer(options.model)
    if options.scorer == "zero-shot":
        from faceshield_hf.evaluation.zero_shot import ZeroShotScorer

        return ZeroShotScorer(options.model, tasks, options.revision, device, options.trust_remote_code)
    if options.scorer == "clip":
        from faceshield_hf.evaluation.clip import ClipScorer

        return ClipScorer(options.model, options.revision, device)
    from faceshield_hf.evaluation.resnet import ResNetScorer, train_resnet

    if not train:
        raise ValueError("--scorer resnet needs training images: give --train, or a --protocol with a train split")
    _check_classes(train, "train")
    folder = train_resnet(
        options.model,
        train,
        out / "resnet",
        EPOCHS if options.epochs is None else options.epochs,
        options.batch_size,
        seed=options.seed,
        revision=options.revision,
    )
    return ResNetScorer(folder, device)


def read_report(path: str) -> dict[str, Any]:
    """Another run's `report.json`."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no report.json that can be read ({error})") from error


def read_references(path: str | Path, samples: Sequence[Sample]) -> dict[str, str]:
    """Reasoning answers of a file of records, as `write_records` makes it, for the images that it has any for.

    Args:
        path (`str` or `Path`): JSON lines with `image` (relative to the file's folder, or absolute), `task`, `answer`.
        samples (`Sequence[Sample]`): the images that will be judged.

    Returns:
        `dict[str, str]`: path of a sample, as it is written there -> the first answer.

    Raises:
        ValueError: when the file is not there, a line is no record, none is a reasoning answer, or none is of the
            images.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}: expected records of JSON lines with image, task and answer")
    found: dict[Path, str] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if record["task"] == Task.REASONING.value:
                    found.setdefault((path.parent / record["image"]).resolve(), str(record["answer"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: no record with image, task and answer ({error})") from error
    if not found:
        raise ValueError(f"{path} holds no answer to the task {Task.REASONING.value}")
    places = {str(sample.path): sample.path.resolve() for sample in samples}
    references = {name: found[place] for name, place in places.items() if place in found}
    if not references:
        raise ValueError(
            f"{path} has references for {len(found)} images, none of the {len(samples)} that are judged; its first is "
            f"{next(iter(found))}, theirs {next(iter(places.values()))}"
        )
    return references


def _add_images(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="[NAME=]FOLDER",
        help="labelled images (metadata.jsonl); repeat for more",
    )
    group.add_argument(
        "--dev",
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="validation images for the threshold; repeat for more",
    )
    group.add_argument(
        "--train",
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="training images, for --scorer resnet; repeat for more",
    )
    group.add_argument(
        "--protocol",
        metavar="FILE[:NAME]",
        help="YAML file that parts the --data folders into train, dev and test (recipes/evaluate/*.yaml)",
    )
    group.add_argument(
        "--limit", type=int, help="judge only so many images of each split, spread evenly: to try things out"
    )
    group.add_argument(
        "--average-over",
        metavar="ATTRIBUTE",
        help="average scores over images alike in this attribute, such as the frames of a video",
    )


def _add_system(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--scorer", choices=SCORERS, default="faceshield")
    group.add_argument(
        "--model",
        help="folder or Hub id (default: the embedded checkpoint); resnet: also tiny, 18, 50; csv: the file",
    )
    group.add_argument("--revision", help="branch, tag or commit of a Hub id")
    group.add_argument(
        "--token-budget", type=int, help="visual tokens that a FaceShield checkpoint's language model reads"
    )
    group.add_argument("--device", help="such as cpu or cuda; the fastest there is by default")
    group.add_argument("--trust-remote-code", action="store_true", help="let a zero-shot model bring code of its own")
    group.add_argument(
        "--tasks", nargs="+", choices=[task.value for task in TASKS], help="what to ask; all by default"
    )
    group.add_argument("--batch-size", type=int, default=8)
    group.add_argument("--epochs", type=float, help=f"of training a ResNet (default: {EPOCHS})")


def _add_report(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out", required=True, help="folder of the report and of the answers that a killed run goes on from"
    )
    group.add_argument("--name", help="the row's name in the tables")
    group.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="REPORT.JSON",
        help="another run's report as further rows; repeat for more",
    )
    group.add_argument(
        "--references",
        metavar="RECORDS.JSONL",
        help="records with reasoning answers as reference texts; default: the offline assistant's",
    )
    group.add_argument(
        "--debias", action="store_true", help="also take the answer to a blank image out of the scores, and compare"
    )
    group.add_argument("--bootstrap", type=int, default=1000, help="draws for the 95 %% intervals; 0 for none")
    group.add_argument("--seed", type=int, default=0)
    group.add_argument("--no-plots", action="store_true")


def _report(
    options: argparse.Namespace,
    words: Sequence[str],
    protocol: Protocol | None,
    scorer: Scorer,
    judged: Sequence[Judged],
    dev: Sequence[Judged] | None,
    references: dict[str, str],
    train: Sequence[Sample],
    prior: float | None,
) -> dict[str, Any]:
    threshold, margin, origin = scorer.threshold, scorer.margin, "the system's own, fixed before"
    if dev is not None and threshold is None:
        truth, scores = with_scores(dev)
        threshold, _ = eer_threshold(truth, scores)
        margin = fit_margin(truth, scores, threshold)
        origin = "EER on the dev images"
    summary = summarize(
        judged,
        threshold,
        dev=dev,
        references=references,
        seen_types={sample.attack_type for sample in train} if train else None,
        margin=margin,
        blank_score=prior,
        resamples=options.bootstrap,
        seed=options.seed,
    )
    told = {
        "name": options.name or scorer.name,
        "model": scorer.name,
        "data": ", ".join(options.data),
        "command": shlex.join(["faceshield", "evaluate", *words]),
        "seed": options.seed,
        "threshold_from": origin if threshold is not None else "none: there are no dev images",
        "references": options.references or "written by the offline assistant from the labels and cues",
    }
    if protocol:
        told |= {"protocol": protocol.name, "protocol_about": protocol.about}
    return told | summary


def _plots(scorer: Scorer, judged: Sequence[Judged], report: dict[str, Any], out: Path) -> list[Path]:
    from faceshield_hf.evaluation.plots import write_importance, write_plots

    pictures = write_plots(judged, report, out)
    if isinstance(scorer, FaceShieldScorer):
        maps = write_importance(scorer.detector, [j.sample for j in judged], out)
        pictures += [maps] if maps else []
    return pictures


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what the system has no use for, rather than leave it aside."""
    for name, scorers in _ONLY_FOR.items():
        value = getattr(options, name)
        if value is not None and value is not False and options.scorer not in scorers:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag} is for --scorer {' or '.join(scorers)}, not {options.scorer}: leave it out")
    if options.batch_size < 1:
        raise ValueError(f"got --batch-size {options.batch_size}: expected at least 1")


def _apart(**folders: dict[str, list[Sample]]) -> Assigned:
    """The splits as they are given, if no subject is in two of them."""
    home: dict[tuple[str, str], str] = {}
    for split, sources in folders.items():
        for name, samples in sources.items():
            for sample in samples:
                keep_together(home, name, sample, f"--{split}", str(sample.path))
    train, dev, test = ([s for found in folders[split].values() for s in found] for split in ("train", "dev", "data"))
    return Assigned(train, dev, test)


def _folders(given: Sequence[str]) -> dict[str, list[Sample]]:
    """Samples by data set: the name before the equals sign, else what the samples tell, else the folder's name."""
    found: dict[str, list[Sample]] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals else text)
        for sample in read_samples(path):
            found.setdefault(name if equals else sample.source or path.name, []).append(sample)
    return found


def _limited(samples: list[Sample], limit: int | None) -> list[Sample]:
    """So many of the samples, live and attack in their proportion, spread over the list."""
    if limit is None or limit >= len(samples):
        return samples
    if limit < 2:
        raise ValueError(f"got --limit {limit}: expected at least 2, one of each class")
    live = [i for i, sample in enumerate(samples) if sample.is_live]
    attacks = [i for i, sample in enumerate(samples) if not sample.is_live]
    lives = min(max(1, round(limit * len(live) / len(samples))), limit - 1)
    return [samples[i] for i in sorted([*_spread(live, lives), *_spread(attacks, limit - lives)])]


def _spread(items: list[int], count: int) -> list[int]:
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _check_classes(samples: Sequence[Sample], split: str) -> None:
    live = sum(sample.is_live for sample in samples)
    if samples and live in (0, len(samples)):
        missing = "bona fide images" if not live else "attacks"
        raise ValueError(
            f"the {split} images hold no {missing} ({live} bona fide, {len(samples) - live} attacks): both are needed"
        )
