"""The pure parts of the scripts that measure and audit: what counts as right, as straight, and as free."""

import argparse
import importlib.util
import json
import math
import sys
from email.message import Message
from pathlib import Path

import pytest


SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    """Loads a script by name; they find each other as they do when one of them is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        loaded = {}

        def load(name):
            if name not in loaded:
                spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
                loaded[name] = importlib.util.module_from_spec(spec)
                patch.setitem(sys.modules, name, loaded[name])
                spec.loader.exec_module(loaded[name])
            return loaded[name]

        for name in ("process_memory", "soak_targets", "soak_callers", "soak_hostile"):
            load(name)
        yield load


VERDICT = {
    "label": "spoof",
    "score": 0.9,
    "attack_type": "Print",
    "boxes": [],
    "explanation": "",
    "answers": {"coarse": "spoof"},
}


def test_an_answer_is_right_mixed_up_or_wrong(script):
    targets, callers = script("soak_targets"), script("soak_callers")
    mine = targets.Question(b"a", "all", VERDICT)
    other = targets.Question(b"b", "all", VERDICT | {"score": 0.8})
    chat = targets.Question(b"c", "chat", "It is real.")
    asked = [mine, other, chat]
    assert callers.outcome_of(VERDICT | {"score": 0.90005}, mine, asked) == "right"
    assert callers.outcome_of(VERDICT | {"score": 0.8}, mine, asked) == "mixed up"
    assert callers.outcome_of(VERDICT | {"score": 0.7}, mine, asked) == "wrong"
    assert callers.outcome_of(VERDICT | {"answers": {}}, mine, asked) == "wrong"
    assert callers.outcome_of("It is", chat, asked) == "wrong"
    assert callers.outcome_of("It is real.", chat, asked) == "right"


def test_percentiles_are_values_that_were_seen(script):
    percentile = script("soak_callers").percentile
    assert [percentile(list(range(1, 101)), share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.5))


def test_only_what_a_kill_cut_off_may_be_repeated(script):
    tally = script("soak_callers").Tally(outages=[[10.0, 12.0]])
    assert tally.was_down(since=9.0)  # it began before the kill and was under way then
    assert tally.was_down(since=11.0)
    assert not tally.was_down(since=12.5)


def test_calls_are_counted_when_their_answer_came(script):
    soak, call = script("soak"), script("soak_callers").Call
    calls = [call(0, 1, "right"), call(0, 4, "right"), call(3, 5, "right")]
    windows = soak.in_windows(calls, 4)
    assert [(end, width, len(part)) for end, width, part in windows] == [(2, 2, 1), (4, 2, 0), (6, 2, 1), (8, 2, 1)]


@pytest.mark.parametrize(("outcome", "problems"), [("right", 0), ("lost", 1), ("mixed up", 1), ("wrong", 1)])
def test_whatever_is_not_right_is_a_problem(script, outcome, problems):
    soak, callers = script("soak"), script("soak_callers")
    tally = callers.Tally(calls=[callers.Call(0, 1, "right"), callers.Call(0, 2, outcome)])
    options = argparse.Namespace(clients=1, minutes=1)
    result = soak.summarize("server", options, tally, [soak.Sample(0, 100), soak.Sample(2, 120)])
    assert len(result["problems"]) == problems
    assert "| requests | 2 |" in soak.to_markdown(result)
    assert "100 / 100 / 120 / 120 MB" in soak.to_markdown(result)


def test_the_bombs_are_what_they_claim(script):
    import io

    from PIL import Image

    photos = dict(script("soak_targets").bad_photos())
    small = script("soak_targets").png(20, 10, bytes(10 * (1 + 3)), bits=1)
    with Image.open(io.BytesIO(small)) as picture:
        picture.load()
        assert picture.size == (20, 10)
    assert len(photos["bomb: 10000x9500 in 12 kB"]) < 13_000


def test_the_build_is_held_to_its_ratios(script):
    growth = script("growth")
    points = [
        {"size": 10_000, "seconds": 10.0, "megabytes": 500},
        {"size": 100_000, "seconds": 99.0, "megabytes": 525},
    ]
    assert growth.ratios(points) == (9.9, 1.05)
    assert growth.ratios(points[:1]) is None
    assert "9.90 times the time (at most 11), 1.05 times" in growth.to_markdown({"build": points})


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("MIT", "fits"),
        ("Apache-2.0 OR BSD-2-Clause", "fits"),
        ("Apache-2.0 WITH LLVM-exception", "fits"),
        ("BSD-3-Clause AND MIT", "fits"),
        ("MPL-2.0 AND MIT", "fits"),
        ("LGPL-2.1-or-later", "fits, named"),
        ("GPL-3.0-only", "does not fit"),
        ("AGPL-3.0", "does not fit"),
        ("GPL-2.0 OR MIT", "fits"),
        ("GPL-2.0 AND MIT", "does not fit"),
        ("GNU GPLv3", "does not fit"),
        ("Proprietary", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_licence_fits_or_not(script, licence, verdict):
    assert script("audit").verdict_on(licence) == verdict


def test_a_licence_is_read_from_expression_then_classifiers_then_text(script):
    licence_of = script("audit").licence_of
    told = Message()
    told["License"] = "BSD 3-Clause"
    assert licence_of(told) == "BSD-3-Clause"
    told["Classifier"] = "License :: OSI Approved :: MIT License"
    assert licence_of(told) == "MIT"
    told["License-Expression"] = "Apache-2.0"
    assert licence_of(told) == "Apache-2.0"


def test_the_needs_of_the_needs_are_found(script):
    found = script("audit").needed("faceshield-hf", ())
    assert {"torch", "transformers", "sympy"} <= set(found)  # sympy is torch's
    assert "gradio" not in found
    assert "gradio" in script("audit").needed("faceshield-hf", ["space"])


def test_a_training_run_is_drawn_and_its_times_are_told(script, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the eval extra")
    curves = script("draw_training")
    (tmp_path / "done").mkdir()
    for step, minutes in (("simulate", 8.5), ("export", 0.5), ("report", 3.0)):
        (tmp_path / "done" / f"{step}.json").write_text(json.dumps({"minutes": minutes}))
    for stage in curves.STAGES:
        (tmp_path / stage).mkdir()
        log = [{"step": 1, "loss": 2.0, "mean_token_accuracy": 0.5}, {"step": 2, "loss": 1.0}, {"train_runtime": 9.0}]
        (tmp_path / stage / "log.json").write_text(json.dumps(log))
    assert [entry["step"] for entry in curves.read_log(tmp_path / "sft")] == [1, 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["draw_training", str(tmp_path), "--plot", str(tmp_path / "new" / "curves.png")])
        curves.main()
    told = capsys.readouterr().out
    assert "| **checkpoint** | **9.0** | |" in told and "| all | 12.0 | |" in told
    assert (tmp_path / "new" / "curves.png").stat().st_size > 5_000
    with pytest.raises(SystemExit, match=r"none/log.json is not there"):
        curves.read_log(tmp_path / "none")


def test_a_run_is_adopted_without_its_pictures_of_faces(script, tmp_path):
    adopt = script("adopt_checkpoint")
    reports = json.loads(
        (SCRIPTS.parent / "faceshield_hf" / "assets" / "faceshield-tiny" / "report.json").read_text(encoding="utf-8")
    )
    run, root = tmp_path / "run", tmp_path / "project"
    for name in reports:
        (run / "report" / name / "plots").mkdir(parents=True)
        text = "# Evaluation\n\n![boxes](plots/boxes.png)\n\n![roc](plots/roc.png)\n"
        (run / "report" / name / "report.md").write_text(text)
        for plot in ("boxes", "roc"):
            (run / "report" / name / "plots" / f"{plot}.png").write_bytes(b"png")
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "report.json").write_text(json.dumps(reports))
    (run / "checkpoint" / "modeling_faceshield.py").write_text("old code")
    root.mkdir()
    (root / "README.md").write_text(
        "# A\n\n| a |\n\n## Results of the embedded checkpoint\n\n| old |\n|---|\n\nEnd.\n"
    )
    adopt.adopt(run, root)
    readme = (root / "README.md").read_text()
    assert (
        "| a |" in readme and "| old |" not in readme and "| AUC, score |" in readme and readme.endswith("\n\nEnd.\n")
    )
    found = root / "docs" / "results" / "test-C"
    assert [plot.name for plot in (found / "plots").iterdir()] == ["roc.png"]
    assert "boxes.png" not in (found / "report.md").read_text()
    assert "![roc](plots/roc.png)" in (found / "report.md").read_text()
    assets = root / "faceshield_hf" / "assets" / "faceshield-tiny"
    assert [file.name for file in assets.iterdir()] == ["report.json"]


def test_an_unfinished_run_is_not_adopted(script, tmp_path):
    with pytest.raises(SystemExit, match="finished"):
        script("adopt_checkpoint").adopt(tmp_path, tmp_path)


def test_unseen_domains_stand_side_by_side_and_apart_from_those_trained_on(script, tmp_path, capsys):
    assets = SCRIPTS.parent / "faceshield_hf" / "assets" / "faceshield-tiny"
    reports = json.loads((assets / "report.json").read_text(encoding="utf-8"))
    (tmp_path / "report.json").write_text(json.dumps({"test-A": reports["test-C"], "test-BC": reports["test-AB"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["unseen_domains", str(tmp_path), str(assets)])
        script("unseen_domains").main()
    never, trained = capsys.readouterr().out.split("\n\n")
    columns = [f"{name} (never seen in training)" for name in ("test, A", "validation, C", "test, C")]
    assert never.splitlines()[0] == f"|  | {' | '.join(columns)} |"
    assert "never" not in trained
    assert "| test, B and C (seen in training) |" in trained
    report = reports["test-C"]
    hter, (low, high) = report["score"]["hter"], report["intervals"]["score.hter"]
    assert f"| {100 * hter:.1f} % [{100 * low:.1f}, {100 * high:.1f}] |" in never
    assert f"| {100 * report['score']['ece']:.1f} % |" in never


def test_two_checkpoints_without_the_same_domain_are_refused(script):
    assets = SCRIPTS.parent / "faceshield_hf" / "assets" / "faceshield-tiny"
    with pytest.raises(SystemExit, match="second checkpoint with the report validation-AB"):
        script("unseen_domains").domains_tables([assets, assets])


def test_a_checkpoint_without_reports_is_refused(script, tmp_path):
    with pytest.raises(SystemExit, match=r"report.json is not there"):
        script("unseen_domains").read_reports(tmp_path)
