"""The papers' tables, filled with their numbers and ours.

Tables 1 to 4 take the four tasks one by one (coarse, fine, reasoning, localization), 5 the tests on what training
never saw, 6 puts systems side by side, all tasks in a row; then the One-to-Eleven and MCIO benchmarks. A table without
any number of ours is left out.

Example:
    >>> from faceshield_hf.evaluation.tables import paper_tables
    >>> paper_tables([{"coarse": {"acc": 1.0, "hter": 0.0}}]).splitlines()[0]
    '## Table 1. Coarse: real or spoof'
"""

from collections.abc import Callable, Mapping, Sequence

from faceshield_hf.evaluation import paper
from faceshield_hf.evaluation.cells import Report, cell, grid, name_of, percent, protocol_of


_PAPER = "FaceShield, paper"
_MAIN = ("coarse", "acc"), ("coarse", "hter"), ("fine", "acc"), ("reasoning", "acc"), ("localization", "ap50")


def paper_tables(runs: Sequence[Report]) -> str:
    """All tables that the runs have numbers for.

    Args:
        runs (`Sequence[Mapping]`): reports, one a row.
    """
    tables = [
        _coarse_table(runs),
        _task_table(
            "Table 2. Fine: which of the twelve types",
            runs,
            "fine",
            {
                "acc": "ACC",
                "acc_balanced": "mean of classes",
                "acc_seen": "ACC, types seen in training",
                "unseen_called_spoof": "unseen types called spoof",
            },
        ),
        _reasoning_table(runs),
        _task_table(
            "Table 4. Localization",
            runs,
            "localization",
            {
                "ap40": "AP@40",
                "ap50": "AP@50",
                "acc_iou40": "Acc@IoU 0.4",
                "acc_iou50": "Acc@IoU 0.5",
                "mean_iou": "mean IoU",
            },
            _constant_box,
        ),
        _cross_table(runs),
        _variants_table(runs),
        _one_to_eleven(runs),
        _mcio(runs),
    ]
    return "\n\n".join(table for table in tables if table)


def _coarse_table(runs: Sequence[Report]) -> str:
    """Verdicts in words, and below them those of scores: some systems have only one of the two."""
    columns = {"acc": "ACC", "hter": "HTER", "parse_rate": "readable"}
    rows = []
    for run in runs:
        if "coarse" in run:
            rows.append([name_of(run), *(cell(run, "coarse", key) for key in columns)])
        if "hter" in run.get("score", {}):
            label = f"{name_of(run)}, score at the threshold {run['score']['threshold']:.4f}"
            rows.append([label, *(cell(run, "score", key) for key in columns)])
    if not rows:
        return ""
    head = [["", *columns.values()], [_PAPER, *(percent(paper.FACESHIELD["coarse"].get(key)) for key in columns)]]
    return f"## Table 1. Coarse: real or spoof\n\n{grid([*head, *rows])}"


def _task_table(
    title: str,
    runs: Sequence[Report],
    section: str,
    columns: Mapping[str, str],
    more: Callable[[Report, Sequence[str]], list[str] | None] | None = None,
) -> str:
    kept = [run for run in runs if section in run]
    if not kept:
        return ""
    used = [
        key for key in columns if key in paper.FACESHIELD.get(section, {}) or any(key in run[section] for run in kept)
    ]
    rows = [["", *(columns[key] for key in used)]]
    rows.append([_PAPER, *(percent(paper.FACESHIELD.get(section, {}).get(key)) for key in used)])
    for run in kept:
        rows.append([name_of(run), *(cell(run, section, key) for key in used)])
        extra = more(run, used) if more else None
        if extra:
            rows.append(extra)
    return f"## {title}\n\n{grid(rows)}"


def _constant_box(run: Report, columns: Sequence[str]) -> list[str] | None:
    """The row that every localization result is held against."""
    if "median_box_acc_iou50" not in run["localization"]:
        return None
    cells = [percent(run["localization"].get(f"median_box_{key}")) for key in columns]
    return [f"constant box, the true class's median ({name_of(run)})", *cells]


def _reasoning_table(runs: Sequence[Report]) -> str:
    kept = [run for run in runs if "reasoning" in run]
    if not kept:
        return ""
    texts = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "meteor")
    rows = [["", "verdict ACC", "verdict HTER", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR"]]
    told = {**paper.FACESHIELD["reasoning"], **paper.FACESHIELD["text"]}
    rows.append([_PAPER, *(percent(told.get(key)) for key in ("acc", "hter", *texts))])
    rows.append(["Bunny fine-tuned, paper", *(percent(paper.BUNNY_TEXT.get(key)) for key in ("acc", "hter", *texts))])
    for run in kept:
        text = run.get("text", {})
        verdict = [cell(run, "reasoning", key) for key in ("acc", "hter")]
        rows.append([name_of(run), *verdict, *(percent(text.get("model", {}).get(key)) for key in texts)])
        if "baseline" in text:
            words = (percent(text["baseline"][key]) for key in texts)
            rows.append([f"another image's reference of the same class ({name_of(run)})", "-", "-", *words])
    note = (
        "The baseline sees no image: it answers with the reference of another image of the true class. What a system "
        "has above it is read from the picture; the rest is wording that all answers share."
    )
    return f"## Table 3. Reasoning\n\n{grid(rows)}\n\n{note}"


def _cross_table(runs: Sequence[Report]) -> str:
    names = {protocol_of(run) for run in runs}
    simulated = sorted(name for name in names if name.startswith("simpad-") and "intra" not in name)
    columns = [(key, title) for key, (title, _) in paper.CROSS_HTER.items()]
    columns += [(name, name) for name in simulated]
    if not simulated and not names & set(paper.CROSS_HTER):
        return ""
    rows = [["HTER of the verdict, text where there is any", *(title for _, title in columns)]]
    rows.append(
        [_PAPER, *(percent(paper.CROSS_HTER[key][1]) if key in paper.CROSS_HTER else "-" for key, _ in columns)]
    )
    for label in dict.fromkeys(name_of(run) for run in runs):
        mine = {protocol_of(run): run for run in runs if name_of(run) == label}
        rows.append([label, *(_hter(mine.get(key, {})) for key, _ in columns)])
    return f"## Table 5. Tests on what training never saw\n\n{grid(rows)}"


def _hter(run: Report) -> str:
    """Of the verdict in words; of the score where there are no words."""
    return cell(run, "coarse", "hter") if "coarse" in run else cell(run, "score", "hter")


def _variants_table(runs: Sequence[Report]) -> str:
    kept = [run for run in runs if "score" in run or any(section in run for section, _ in _MAIN)]
    if len(kept) < 2:
        return ""
    rows = [["", "coarse ACC", "coarse HTER", "fine ACC", "reasoning ACC", "AP@50", "score AUC", "score HTER"]]
    rows.append([f"{_PAPER}, SAVP and PVTM", *(percent(paper.FACESHIELD[s].get(k)) for s, k in _MAIN), "-", "-"])
    for run in kept:
        rows.append([name_of(run), *(cell(run, *place) for place in (*_MAIN, ("score", "auc"), ("score", "hter")))])
    return f"## Table 6. Variants and baselines side by side\n\n{grid(rows)}"


def _one_to_eleven(runs: Sequence[Report]) -> str:
    start = "one-to-eleven-"
    mine = [run for run in runs if protocol_of(run).startswith(start)]
    if not mine:
        return ""
    columns = list(paper.ONE_TO_ELEVEN["I-FAS"])
    targets = set(columns) - {"mean"}
    rows = [["HTER", *columns]]
    rows += [
        [f"{name}, paper", *(percent(row.get(key)) for key in columns)] for name, row in paper.ONE_TO_ELEVEN.items()
    ]
    for label in dict.fromkeys(name_of(run) for run in mine):
        own = {protocol_of(run).removeprefix(start): run for run in mine if name_of(run) == label}
        for key, title in (("hter_dev", "threshold from dev"), ("hter_oracle", "oracle threshold")):
            found = {column: run["score"][key] for column, run in own.items() if key in run.get("score", {})}
            if targets <= found.keys():
                found["mean"] = sum(found[target] for target in targets) / len(targets)
            rows.append([f"{label}, {title}", *(percent(found.get(column)) for column in columns)])
    note = "The papers' rows are from reading notes of them; their threshold is mostly the test set's own (an oracle)."
    return f"## One-to-Eleven\n\n{grid(rows)}\n\n{note}"


def _mcio(runs: Sequence[Report]) -> str:
    mine = [run for run in runs if protocol_of(run).startswith("mcio-to-")]
    if not mine:
        return ""
    rows = [["", "HTER, oracle threshold", "AUC", "HTER, threshold from dev"]]
    rows += [
        [f"{name}, paper, mean of four", percent(hter), percent(area), "-"]
        for name, (hter, area) in paper.MCIO_AVERAGE.items()
    ]
    for run in mine:
        cells = (cell(run, "score", key) for key in ("hter_oracle", "auc", "hter_dev"))
        rows.append([f"{name_of(run)}, {protocol_of(run)}", *cells])
    return f"## MCIO, leave one out\n\n{grid(rows)}"
