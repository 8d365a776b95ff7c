"""Runs: bad images, going on after a kill, several processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evaluation_helpers import PixelScorer, read, write_images
from tiny_checkpoint import shared_shield, shield, tiny_folder  # noqa: F401

from faceshield_hf.evaluation.evaluate import collect, judge
from faceshield_hf.evaluation.results import Said, append_results, read_results
from faceshield_hf.evaluation.summary import summarize


@pytest.fixture
def samples(tmp_path):
    return read(write_images(tmp_path / "images", 8))


def test_one_bad_image_is_an_error_with_its_reason_and_the_rest_is_judged(samples, tmp_path):
    samples[1].path.write_bytes(samples[1].path.read_bytes()[:60])
    judged = collect(PixelScorer(), samples, tmp_path / "out", batch_size=4)
    assert [j.error is None for j in judged] == [True, False, *[True] * 6]
    report = summarize(judged, 0.5)
    assert report["errors"]["count"] == 1
    (reason,) = report["errors"]["images"].values()
    assert "image" in reason
    assert report["score"]["parse_rate"] == 7 / 8  # counted as wrong, not left out


def test_an_image_that_the_system_refuses_does_not_take_its_batch_along(samples, tmp_path):
    judged = collect(PixelScorer(refuse="2.png"), samples, tmp_path / "out", batch_size=4)
    assert [j.sample.path.name for j in judged if j.error] == ["2.png"]
    assert judged[2].error == "no face in it"


def test_a_run_without_any_good_image_stops(samples, tmp_path):
    for sample in samples:
        sample.path.write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 8 images could be judged; the first: "):
        collect(PixelScorer(), samples, tmp_path / "out")


def test_no_images_are_no_run(tmp_path):
    with pytest.raises(ValueError, match="no image to judge"):
        collect(PixelScorer(), [], tmp_path / "out")


def test_what_was_judged_is_not_asked_again(samples, tmp_path):
    first = PixelScorer()
    whole = collect(first, samples, tmp_path / "whole", batch_size=3)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text('{"scorer": "pixels"}')
    append_results(tmp_path / "half", [Said(str(s.path), 0.125) for s in samples[:5]], process=7)
    second = PixelScorer()
    rest = collect(second, samples, tmp_path / "half", batch_size=3)
    assert second.asked == [str(s.path) for s in samples[5:]]
    assert [j.score for j in rest] == [0.125] * 5 + [j.score for j in whole[5:]]


def test_images_that_failed_or_changed_are_asked_again(samples, tmp_path):
    good = samples[1].path.read_bytes()
    samples[1].path.write_bytes(good[:60])
    collect(PixelScorer(refuse="2.png"), samples, tmp_path / "out", batch_size=4)
    samples[1].path.write_bytes(good)
    samples[5].path.write_bytes(samples[6].path.read_bytes())
    scorer = PixelScorer()
    again = collect(scorer, samples, tmp_path / "out", batch_size=4)
    assert scorer.asked == [str(samples[i].path) for i in (1, 2, 5)]
    assert not any(j.error for j in again)
    assert again[5].score == again[6].score
    assert len(read_results(tmp_path / "out")) == 8
    assert sum(len(file.read_text().splitlines()) for file in (tmp_path / "out").glob("results-*")) == 8


def test_a_score_that_is_no_number_is_an_error_of_its_image_alone(samples, tmp_path):
    class Broken(PixelScorer):
        def say(self, paths, images):
            return [Said(path, float("nan") if path.endswith("3.png") else 0.5) for path in paths]

    judged = collect(Broken(), samples, tmp_path / "out")
    assert [j.sample.path.name for j in judged if j.error] == ["3.png"]
    assert "the score nan" in judged[3].error


def test_the_same_image_twice_and_no_batch_are_refused(samples, tmp_path):
    with pytest.raises(ValueError, match="1 images are there twice, first "):
        collect(PixelScorer(), [*samples, samples[0]], tmp_path / "out")
    with pytest.raises(ValueError, match="got a batch size of -1"):
        collect(PixelScorer(), samples, tmp_path / "out", batch_size=-1)


def test_every_answer_of_the_detector_is_read(shield, samples):  # noqa: F811
    judged = judge(shield, samples[:3], batch_size=2)
    assert [j.sample for j in judged] == samples[:3]
    direct = shield.detect(samples[2].path, quality=False)
    assert judged[2].score == pytest.approx(direct.score, abs=1e-5)
    assert {task.value: text for task, text in judged[2].answers.items()} == direct.answers


def test_an_unreadable_image_stops_a_run_in_memory(shield, samples):  # noqa: F811
    samples[0].path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"0\.png"):
        judge(shield, samples)


SLOW = """
import sys, time
from pathlib import Path
from evaluation_helpers import PixelScorer, read
from faceshield_hf.evaluation.evaluate import collect

class Slow(PixelScorer):
    def say(self, paths, images):
        time.sleep(float(sys.argv[3]))
        return super().say(paths, images)

scorer = Slow()
collect(scorer, read(Path(sys.argv[1])), sys.argv[2], batch_size=1)
print(len(scorer.asked))
"""


def script(tmp_path, *arguments):
    path = tmp_path / "run.py"
    path.write_text(SLOW)
    return [sys.executable, str(path), *map(str, arguments)]


def environment(**more):
    tests = str(Path(__file__).parent)
    return os.environ | {"PYTHONPATH": tests, "ACCELERATE_USE_CPU": "true"} | more


def test_a_killed_run_goes_on_where_it_stopped(samples, tmp_path):
    whole = collect(PixelScorer(), samples, tmp_path / "whole")
    out = tmp_path / "out"
    process = subprocess.Popen(script(tmp_path, tmp_path / "images", out, 0.5), env=environment())
    deadline = time.time() + 900
    while len(read_results(out)) < 2 and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()  # nothing of it could be cleaned up
    done = len(read_results(out))
    assert 2 <= done < len(samples)
    scorer = PixelScorer()
    again = collect(scorer, samples, out)
    assert len(scorer.asked) == len(samples) - done
    assert [j.score for j in again] == [j.score for j in whole]


def test_two_processes_share_the_images_and_say_what_one_says(samples, tmp_path):
    whole = collect(PixelScorer(), samples, tmp_path / "whole")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = script(tmp_path, tmp_path / "images", tmp_path / "out", 0)
    processes = [
        subprocess.Popen(
            command, env=environment(RANK=str(i), LOCAL_RANK=str(i), **shared), stdout=subprocess.PIPE, text=True
        )
        for i in range(2)
    ]
    shares = [process.communicate(timeout=900)[0].split()[-1] for process in processes]
    assert shares == ["4", "4"]
    assert len(list((tmp_path / "out").glob("results-*.jsonl"))) == 2
    scorer = PixelScorer()
    assert [j.score for j in collect(scorer, samples, tmp_path / "out")] == [j.score for j in whole]
    assert scorer.asked == []  # also one process goes on from what two wrote
