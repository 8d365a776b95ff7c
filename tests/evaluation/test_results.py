"""Answers on disk survive kills and never mix."""

import pytest

from faceshield_hf.evaluation.results import Said, append_results, claim_folder, read_results


def test_what_was_said_is_read_back(tmp_path):
    said = [Said("a.jpg", 0.25, {"coarse": "Zwei\nZeilen"}), Said("b.jpg", error="broken")]
    append_results(tmp_path, said[:1], process=0)
    append_results(tmp_path, said[1:], process=1)
    assert read_results(tmp_path) == {"a.jpg": said[0], "b.jpg": said[1]}


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_forgotten_and_the_next_one_starts_anew(tmp_path, kept):
    append_results(tmp_path, [Said("a.jpg", 0.5)])
    whole = (tmp_path / "results-00000.jsonl").read_bytes()
    with (tmp_path / "results-00000.jsonl").open("ab") as file:
        file.write(whole.replace(b"a.jpg", b"b.jpg")[:kept])
    assert list(read_results(tmp_path)) == ["a.jpg"]
    append_results(tmp_path, [Said("c.jpg", 0.75)])
    assert list(read_results(tmp_path)) == ["a.jpg", "c.jpg"]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    append_results(tmp_path, [Said("a.jpg", 0.5)])
    with (tmp_path / "results-00000.jsonl").open("ab") as file:
        file.write(b"nonsense\n")
    with pytest.raises(ValueError, match=r"results-00000.jsonl, line 2"):
        read_results(tmp_path)


def test_two_systems_do_not_share_a_folder(tmp_path):
    claim_folder(tmp_path, {"model": "one", "weights": "ab"})
    claim_folder(tmp_path, {"model": "one", "weights": "ab"})
    with pytest.raises(ValueError, match=r"another run \(weights differ\).*choose another folder"):
        claim_folder(tmp_path, {"model": "one", "weights": "cd"})
