"""The sections of a report that the papers have no table for: operating points, species, types, words, boxes, trust.

Each is empty where a run has no numbers for it.

Example:
    >>> from faceshield_hf.evaluation.details import sections
    >>> sections({"agreement": {"coarse = fine": 1.0}, "consistency": 1.0})[0].splitlines()[0]
    '## Consistency'
"""

from faceshield_hf.evaluation.cells import Report, cell, grid, percent


def sections(report: Report) -> list[str]:
    """All sections that a report has numbers for, in Markdown."""
    makers = (_operating_points, _species, _fine_types, _words, _boxes, _calibration, _agreement, _debias, _errors)
    found = [make(report) for make in makers]
    return [text for text in found if text]


def _operating_points(report: Report) -> str:
    score = report.get("score")
    if score is None:
        return ""
    rows = [["p(spoof)", "value"]]
    fixed = score.get("threshold")
    if fixed is not None:
        told = {
            "acc": "ACC",
            "hter": "HTER",
            "apcer_max": "APCER, worst species",
            "apcer_pooled": "APCER, pooled",
            "bpcer": "BPCER",
            "acer_max": "ACER, worst species",
            "acer_pooled": "ACER, pooled",
        }
        rows += [[f"{title} at the threshold {fixed:.4f}", cell(report, "score", key)] for key, title in told.items()]
    if "hter_dev" in score:
        rows.append(
            [f"HTER at the dev images' EER threshold {score['dev_threshold']:.4f}", percent(score["hter_dev"])]
        )
    told = {
        "auc": "AUC",
        "tpr_at_fpr1": "TPR@FPR=1 % (bona fide accepted with at most 1 % of the attacks)",
        "eer": "EER (the test images' own threshold)",
        "hter_oracle": "HTER at an oracle threshold: no result, printed for comparison with papers that do so",
    }
    rows += [[title, cell(report, "score", key)] for key, title in told.items()]
    rows += [[f"BPCER@APCER={level} %", percent(value)] for level, value in score.get("bpcer_at_apcer", {}).items()]
    return f"## Scores\n\n{grid(rows)}"


def _species(report: Report) -> str:
    apcer = report.get("score", {}).get("apcer")
    if not apcer:
        return ""
    return "## APCER per species, score\n\n" + grid(
        [["species", "APCER"], *([name, percent(v)] for name, v in apcer.items())]
    )


def _fine_types(report: Report) -> str:
    table = report.get("fine", {}).get("confusion")
    if table is None:
        return ""
    rows = [["true \\ said", *table["names"], "unreadable"]]
    rows += [[name, *(str(n) for n in row)] for name, row in zip(table["names"], table["rows"], strict=True)]
    return f"## Confusion of the types\n\n{grid(rows)}"


def _words(report: Report) -> str:
    text = report.get("text")
    if text is None:
        return ""
    tools = "\n".join(f"- {name}: {tool}" for name, tool in text["tools"].items())
    gain = ", ".join(f"{name} {100 * value:+.1f}" for name, value in text.get("gain", {}).items())
    lines = [f"{text['count']} answers; {percent(text['exact_matches'])} equal their reference word for word.", tools]
    if gain:
        lines.insert(1, f"Above the baseline, in points: {gain}.")
    if report.get("references"):
        lines.append(f"References: {report['references']}.")
    return "## Words\n\n" + "\n\n".join(lines)


def _boxes(report: Report) -> str:
    section = report.get("localization")
    if section is None:
        return ""
    lines = [
        f"Boxes are judged on {section['annotated_attacks']} attacks whose boxes are known; "
        f"{percent(section['false_boxes_on_bona_fide'])} of the bona fide images got a box."
    ]
    if "ap50" in section:
        lines.append(
            f"AP ranks an image's boxes by p(spoof); ranked alike, AP@50 is {percent(section['ap50_unranked'])}. "
            f"{percent(section['precision'])} of the boxes found are right at IoU 0.5."
        )
        rows = [
            ["class", "images", "Acc@IoU 0.4", "Acc@IoU 0.5", "mean IoU", "constant box: Acc@IoU 0.5", "its mean IoU"]
        ]
        keys = ("acc_iou40", "acc_iou50", "mean_iou", "median_box_acc_iou50", "median_box_mean_iou")
        for name, row in section["classes"].items():
            rows.append([name, str(row["images"]), *(percent(row[key]) for key in keys)])
        lines.append(grid(rows))
    return "## Boxes per class\n\n" + "\n\n".join(lines)


def _calibration(report: Report) -> str:
    section = report.get("calibration")
    if section is None:
        return ""
    text = f"ECE {percent(section['ece'])}, Brier score {section['brier']:.4f}, log loss {section['nll']:.4f}."
    band = section.get("unsure_band")
    if band:
        text += (
            f" The unsure band (margin {band['margin']:.3f}) holds {percent(band['unsure'])} of the images; of all "
            f"images {percent(band['error'])} are on the wrong side of the threshold, of those outside the band "
            f"{percent(band['error_decided'])}."
        )
    return f"## Calibration\n\n{text}"


def _agreement(report: Report) -> str:
    if "agreement" not in report:
        return ""
    rows = [["answers", "agree"], ["all labels", cell(report, "", "consistency")]]
    rows += [[name, percent(value)] for name, value in report["agreement"].items()]
    return f"## Consistency\n\n{grid(rows)}"


def _debias(report: Report) -> str:
    section = report.get("debias")
    if section is None:
        return ""
    titles = {"hter_at_half": "HTER at 0.5", "ece": "ECE", "hter_dev": "HTER, threshold from dev"}
    used = [key for key in titles if key in section["plain"]]
    rows = [["", *(titles[key] for key in used)]]
    rows += [[name, *(percent(section[name][key]) for key in used)] for name in ("plain", "corrected")]
    return (
        f"## Language prior\n\np(spoof) of a blank image is {section['blank_score']:.4f}. Taking it out "
        "(arXiv 2403.05262) moves all scores alike on the log-odds axis: AUC and EER cannot change, decisions at a "
        "fixed threshold can.\n\n" + grid(rows)
    )


def _errors(report: Report) -> str:
    errors = report.get("errors")
    if not errors or not errors["count"]:
        return ""
    rows = [["image", "reason"], *([name, reason] for name, reason in errors["images"].items())]
    return (
        f"## Images that could not be judged\n\n{errors['count']} images, counted as errors in every decision, left "
        f"out of curves and of AUC; the first {len(errors['images'])}:\n\n{grid(rows)}"
    )
