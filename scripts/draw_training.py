"""Draw the training curves of a `recipes/make_tiny.py` run and print how long each of its steps took.

    python scripts/draw_training.py outputs/tiny [--plot docs/images/training.png]

Reads what the run left: `log.json` of the three stages that train, and the marks in `done/`. Needs the `eval` extra's
matplotlib. The table is Markdown, for recipes/faceshield-tiny/README.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from faceshield_hf.whole_files import whole_file


ROOT = Path(__file__).resolve().parents[1]
STAGES = {
    "tower": "vision tower and connector",
    "pretrain": "stage 1: connector and language model",
    "sft": "stage 2: the four tasks",
}
STEPS = {
    "simulate": "attacks on the training and calibration faces",
    "tower": "the vision tower and the connector adapt to both views",
    "records": "questions and answers",
    "init": "tokenizer, an untrained language model",
    "pretrain": "stage 1",
    "sft": "stage 2",
    "calibrate": "threshold and temperature",
    "export": "the checkpoint's folder",
    "heldout": "attacks on the held-out faces",
    "report": "four reports",
}


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's working folder")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "training.png", help="the picture")
    options = parser.parse_args()
    draw(options.plot, {stage: read_log(options.run / stage) for stage in STAGES})
    print(times_table(read_times(options.run / "done")))


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The logged steps of a stage that have a loss.

    Args:
        folder (`Path`): the stage's output folder.

    Returns:
        `list[dict]`: in the order of steps.

    Raises:
        SystemExit: when the stage has left no log.
    """
    file = folder / "log.json"
    if not file.is_file():
        raise SystemExit(f"{file} is not there: give the working folder of a finished recipes/make_tiny.py")
    return [entry for entry in json.loads(file.read_text(encoding="utf-8")) if "loss" in entry]


def read_times(folder: Path) -> dict[str, float]:
    """Minutes of every step that is done.

    Args:
        folder (`Path`): the run's `done`.

    Returns:
        `dict`: step -> minutes, in the order of the steps.
    """
    marks = {step: folder / f"{step}.json" for step in STEPS}
    found = {step: json.loads(mark.read_text("utf-8")) for step, mark in marks.items() if mark.is_file()}
    return {step: float(mark["minutes"]) for step, mark in found.items()}


def times_table(minutes: dict[str, float]) -> str:
    """The steps' times as a table, with the sum up to the checkpoint.

    Args:
        minutes (`dict`): step -> minutes.

    Returns:
        `str`: Markdown.
    """
    rows, total = ["| step | minutes | |", "|---|---|---|"], 0.0
    for step, taken in minutes.items():
        rows.append(f"| `{step}` | {taken:.1f} | {STEPS[step]} |")
        total += taken
        if step == "export":
            rows.append(f"| **checkpoint** | **{total:.1f}** | |")
    return "\n".join([*rows, f"| all | {total:.1f} | |"])


def draw(file: Path, logs: dict[str, list[dict[str, Any]]]) -> None:
    """One panel a stage: its loss, and where it is logged the share of answer tokens that come out right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(STAGES), figsize=(13, 3.8), layout="constrained")
    for axes, (stage, entries) in zip(panels, logs.items(), strict=True):
        axes.plot([e["step"] for e in entries], [e["loss"] for e in entries], color="tab:blue")
        axes.set(title=STAGES[stage], xlabel="step", ylabel="loss", ylim=(0, None))
        right = [e for e in entries if "mean_token_accuracy" in e]
        if right:
            beside = axes.twinx()
            beside.plot([e["step"] for e in right], [e["mean_token_accuracy"] for e in right], color="tab:orange")
            beside.set(ylim=(0, 1), ylabel="tokens right")
    with whole_file(file) as part:
        figure.savefig(part, format="png", dpi=90)
    print(f"written: {file}")


if __name__ == "__main__":
    main()
