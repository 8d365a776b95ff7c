"""Files appear whole or not at all."""

import json
import os
import signal
import subprocess
import sys

import pytest

from faceshield_hf.whole_files import whole_file, write_json, write_whole


@pytest.mark.parametrize("several", [False, True])
def test_a_file_and_its_folder_appear_and_an_older_one_is_replaced(tmp_path, several):
    file = tmp_path / "a" / "b.txt"
    for content, expected in (("é\n", "é\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")):
        assert write_whole(file, content, several) == file
        assert file.read_bytes() == expected
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_what_was_there(tmp_path, several, stop):
    file = write_whole(tmp_path / "b.txt", "before")
    with pytest.raises(stop), whole_file(file, several) as part:
        part.write_text("aft")
        assert file.read_text() == "before"
        raise stop
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_target_that_is_a_folder_fails_and_stays(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    with pytest.raises(OSError):
        write_whole(tmp_path / "b", "words")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_several_writers_each_write_a_file_of_their_own(tmp_path):
    file = tmp_path / "b.txt"
    with whole_file(file, several_writers=True) as one, whole_file(file, several_writers=True) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert file.read_text() == "one"  # its block ended last


def test_after_a_kill_the_next_write_replaces_what_was_left(tmp_path):
    file = write_whole(tmp_path / "b.txt", "before")
    killed = f"""
import os, signal
from faceshield_hf.whole_files import whole_file
with whole_file({str(file)!r}) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", killed], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == "before"
    assert len(os.listdir(tmp_path)) == 2
    write_whole(file, "after")
    assert file.read_text() == "after"
    assert list(tmp_path.iterdir()) == [file]


def test_json_is_indented_ends_in_a_line_feed_and_refuses_nan(tmp_path):
    file = write_json(tmp_path / "b.json", {"b": 1, "a": [0.5]}, sort_keys=True)
    assert file.read_text() == '{\n  "a": [\n    0.5\n  ],\n  "b": 1\n}\n'
    assert "\n" not in write_json(file, {"b": 1}, indent=None).read_text().rstrip("\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"auc": float("nan")})
    assert json.loads(file.read_text()) == {"b": 1}
    assert "NaN" in write_json(file, [float("nan")], allow_nan=True).read_text()
