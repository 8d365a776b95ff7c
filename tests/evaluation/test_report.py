"""The report's files: the papers' tables, our rows, pictures, and what is said of them."""

import json
from dataclasses import replace

import pytest
from evaluation_helpers import perfect, read, write_images
from PIL import Image
from tiny_checkpoint import shared_shield, shield, tiny_folder  # noqa: F401

from faceshield_hf.evaluation.judged import template_references
from faceshield_hf.evaluation.paper import ONE_TO_ELEVEN
from faceshield_hf.evaluation.plots import write_importance, write_plots
from faceshield_hf.evaluation.report import markdown_report, markdown_table, write_report
from faceshield_hf.evaluation.summary import summarize


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    samples = read(write_images(tmp_path_factory.mktemp("report") / "a", 16, subjects=8))
    judged = perfect(samples)
    report = summarize(judged, 0.5, dev=judged, references=template_references(samples), blank_score=0.4, resamples=20)
    return judged, {"name": "mine", "data": "images"} | report


def test_the_tables_hold_the_papers_numbers_ours_and_why_they_do_not_compare(run):
    text = markdown_report(run[1])
    assert "not comparable with ours" in text
    for number in (1, 2, 3, 4):
        assert f"## Table {number}. " in text
    assert "| FaceShield, paper | 99.41 % | 0.53 % | - |" in text
    assert "| mine | 100.00 % [100.0, 100.0] | 0.00 % [0.0, 0.0] | 100.00 % |" in text
    assert "| constant box, the true class's median (mine) |" in text
    assert "| another image's reference of the same class (mine) |" in text
    assert "HTER at an oracle threshold: no result" in text
    assert "exact and stem matches only" in text or "with WordNet" in text


def test_a_report_on_simulated_images_says_so_where_its_numbers_stand(run):
    assert run[1]["simulated"] == 0
    assert "simulated" not in markdown_report(run[1]).split("## Table 1")[0]
    made = [replace(j, sample=replace(j.sample, attributes={"simulated": True})) for j in run[0]]
    head = markdown_report(summarize(made, 0.5)).split("## Table 1")[0]
    assert f"**{len(made)} of the images are simulated: the numbers say nothing of real attacks.**" in head


def test_other_runs_become_rows_and_variants_stand_side_by_side(run):
    other = {"name": "ResNet", "coarse": {"acc": 0.5, "hter": 0.5, "parse_rate": 1.0}}
    text = markdown_report(run[1], [other])
    assert "| ResNet | 50.00 % | 50.00 % | 100.00 % |" in text
    assert "## Table 6. " in text
    assert "## Table 6. " not in markdown_report(run[1])


def test_cross_tests_fill_the_columns_of_their_protocol(run):
    wmca = {**run[1], "protocol": "wsp-to-wmca"}
    padisi = {**run[1], "protocol": "wsp-to-padisi", "coarse": {**run[1]["coarse"], "hter": 0.25}, "intervals": {}}
    text = markdown_report(wmca, [padisi])
    assert "| FaceShield, paper | 6.37 % | 10.30 % | 5.71 % |" in text
    assert "| mine | 25.00 % | - | 0.00 % [0.0, 0.0] |" in text


def test_a_system_of_scores_alone_has_its_rows_too(run):
    scores = {"name": "theirs", "score": run[1]["score"]}
    text = markdown_report(scores)
    assert "| theirs, score at the threshold 0.5000 | 100.00 % | 0.00 % | 100.00 % |" in text
    assert "| theirs | - | - | - | - | - | 100.00 % | 0.00 % |" in markdown_report(run[1], [scores])


def test_published_benchmarks_get_their_own_tables(run):
    text = markdown_report({**run[1], "protocol": "one-to-eleven-wmca"})
    assert "## One-to-Eleven" in text and "20.07 %" in text
    text = markdown_report({**run[1], "protocol": "mcio-to-oulu-npu"})
    assert "| mine, mcio-to-oulu-npu | 0.00 % | 100.00 % [100.0, 100.0] | 0.00 % |" in text


def test_every_run_of_one_to_eleven_has_its_own_row_and_a_mean_of_all_eleven(run):
    def runs(name, hter):
        targets = [target for target in ONE_TO_ELEVEN["I-FAS"] if target != "mean"]
        score = {**run[1]["score"], "hter_dev": hter}
        return [{"name": name, "score": score, "protocol": f"one-to-eleven-{target}"} for target in targets]

    first, *rest = [*runs("mine", 0.1), *runs("theirs", 0.4)[:3]]
    text = markdown_report(first, rest)
    assert text.count("| mine, threshold from dev" + 12 * " | 10.00 %") == 1
    theirs = next(line for line in text.splitlines() if line.startswith("| theirs, threshold from dev |"))
    assert (theirs.count("40.00 %"), theirs.count(" - ")) == (3, 9)


def test_images_that_failed_are_listed_with_their_reason(run):
    broken = {**run[1], "errors": {"count": 2, "images": {"a|b.png": "not an image", "c.png": "empty\nfile"}}}
    text = markdown_report(broken)
    assert "2 images, counted as errors in every decision" in text
    assert "| a\\|b.png | not an image |" in text
    assert "| c.png | empty file |" in text


def test_the_files_are_whole_and_readable_by_others(run, tmp_path):
    judged, report = run
    write_report(report, tmp_path, pictures=write_plots(judged, report, tmp_path))
    told = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert told["score"]["auc"] == 1
    text = (tmp_path / "report.md").read_text()
    for name in ("roc", "det", "scores", "reliability", "confusion", "boxes"):
        assert f"(plots/{name}.png)" in text
        with Image.open(tmp_path / "plots" / f"{name}.png") as picture:
            picture.load()
    assert not list(tmp_path.rglob("*.part"))


def test_importance_is_drawn_for_both_views_and_every_question(run, shield, tmp_path):  # noqa: F811
    path = write_importance(shield, [j.sample for j in run[0]], tmp_path, types=2)
    with Image.open(path) as picture:
        cell = 220 + 6
        assert picture.width == 6 + 7 * cell  # the photo, and three questions in two views
        assert picture.height == 6 + 2 * (cell + 16)


def test_the_plain_table_shows_shares_in_percent_and_the_rest_as_numbers():
    table = markdown_table({"images": 4, "score": {"hter": 0.25, "threshold": 0.5}, "calibration": {"brier": 0.125}})
    assert "| images | 4 |" in table
    assert "| score hter | 25.0 % |" in table
    assert "| score threshold | 0.5000 |" in table
    assert "| calibration brier | 0.1250 |" in table
