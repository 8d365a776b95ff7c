"""Building a data set: complete, the same whatever happens on the way, and nothing left out without a reason."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


datasets = pytest.importorskip("datasets", reason="needs the train extra")

import yaml  # noqa: E402
from data.build_parts import clear, make_images, settings, tree, turned  # noqa: E402
from data.chat_server import chat_server  # noqa: E402

from faceshield_hf.data.build import main, read_arguments, report, shards  # noqa: E402
from faceshield_hf.data.build import run as run_module  # noqa: E402
from faceshield_hf.data.build.config import read_config  # noqa: E402
from faceshield_hf.data.build.inputs import split_of_subject  # noqa: E402
from faceshield_hf.data.build.run import build_dataset, work_folder  # noqa: E402
from faceshield_hf.data.instruct.prompts import HINTS, SYSTEM  # noqa: E402
from faceshield_hf.data.sft import load_sft  # noqa: E402
from faceshield_hf.tasks_faceshield import AttackType, parse_answer  # noqa: E402


pytestmark = pytest.mark.usefixtures("reachable_loopback")
RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_result_is_a_data_set_with_card_report_and_list_of_losses(images, tmp_path):
    counts = build_dataset(settings(images, tmp_path / "out"), progress=False)
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == counts["records"] > 24 * 4
    assert loaded[0]["image"].size == (64, 48)
    assert len(set(loaded["id"])) == loaded.num_rows
    for row in loaded.remove_columns("image"):
        verdict = parse_answer(row["answer"], row["task"])
        assert verdict.label == row["label"]
        assert verdict.attack_type in (None, AttackType(row["attack_type"]))
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{counts['records']:,} questions and answers about 24 face images" in card
    assert "| Print | " in card and "| keywords | " in card and "Consent: **Not stated" in card
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page and "data:image/jpeg;base64" in page and "Box sizes" in page
    assert (tmp_path / "out" / "skipped.jsonl").read_text().count("\n") == sum(
        sum(part.values()) for part in counts["skipped"].values()
    )


def test_training_reads_the_build_as_it_is(images, tmp_path):
    build_dataset(settings(images, tmp_path / "out"), progress=False)
    rows = load_sft(str(tmp_path / "out"))
    assert set(rows.column_names) == {"image", "prompt", "completion"}
    with pytest.raises(ValueError, match="validation"):
        load_sft(str(tmp_path / "out"), "validation")


def test_two_builds_called_alike_are_read_as_two(images, tmp_path):
    """By the line that stands in their cards, one after the other, with one cache."""
    for name, limit in (("a", 2), ("b", 3)):
        out = tmp_path / name / "same"
        counts = build_dataset(settings(images, out, tasks={"coarse": 1}, limit=limit, filters={}), progress=False)
        rows = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == counts["records"] == limit


def test_each_image_is_stored_once_however_many_records_it_has(images, tmp_path):
    build_dataset(settings(images, tmp_path / "one", tasks={"coarse": 1}, paraphrase={}), progress=False)
    build_dataset(settings(images, tmp_path / "many", tasks={"coarse": 8}, paraphrase={}), progress=False)
    one, many = (sum(p.stat().st_size for p in (tmp_path / n / "data").iterdir()) for n in ("one", "many"))
    assert many < 1.5 * one


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(images, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build_dataset(settings(images, tmp_path / name, seed=seed), progress=False)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert tree(tmp_path / "a" / "data") != tree(tmp_path / "c" / "data")


def test_two_launched_processes_give_the_same_bytes_as_one(images, tmp_path):
    arguments = ["--inputs", str(images), "--tasks.reasoning", "1", "--shard_images", "5"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(RECIPES / "build_dataset.py"), *arguments, "--out", str(tmp_path / "two")]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "images of process 1" in done.stderr
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_finished_build_is_not_built_again(images, tmp_path, monkeypatch):
    build_dataset(settings(images, tmp_path / "out"), progress=False)
    before = tree(tmp_path / "out")
    monkeypatch.setattr(run_module.ShardBuilder, "build", lambda *_: pytest.fail("built again"))
    build_dataset(settings(images, tmp_path / "out"), progress=False)
    assert tree(tmp_path / "out") == before


def test_a_killed_build_goes_on_and_gives_the_same_bytes(images, tmp_path):
    config = {
        "inputs": [str(images)],
        "tasks": {"reasoning": 2, "describe": 1, "cot": 1},
        "shard_images": 1,
        "paraphrase": {"share": 0.5},
    }
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, str(RECIPES / "build_dataset.py"), "--config", str(tmp_path / "build.yaml"), "--out"]
    out = tmp_path / "killed"
    process = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while len(list((work_folder(out) / "shards").glob("*.json"))) < 3 and time.time() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list((work_folder(out) / "shards").glob("*.json")))
    assert 3 <= done < 24, "killed too late to show anything"
    assert not (out / "build.json").exists()
    for folder in (out, tmp_path / "whole"):
        assert main([*command[2:-1], "--out", str(folder)]) == 0
    assert tree(out) == tree(tmp_path / "whole")


def test_a_second_build_into_the_same_folder_is_kept_out(images, tmp_path):
    from filelock import FileLock

    work = work_folder(tmp_path / "out")
    work.mkdir()
    with FileLock(work / "lock"), pytest.raises(ValueError, match="another build is writing into"):
        build_dataset(settings(images, tmp_path / "out"), progress=False)
    build_dataset(settings(images, tmp_path / "out"), progress=False)


def test_other_settings_or_images_in_the_same_folder_are_refused(images, tmp_path):
    build_dataset(settings(images, tmp_path / "out"), progress=False)
    with pytest.raises(ValueError, match="holds a build with other tasks, seed"):
        build_dataset(settings(images, tmp_path / "out", seed=3, tasks={"fine": 1}), progress=False)
    with (images / "metadata.jsonl").open("a") as table:
        table.write("\n")
    with pytest.raises(ValueError, match="other images"):
        build_dataset(settings(images, tmp_path / "out"), progress=False)


def test_a_folder_of_something_else_is_left_alone(images, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that are no build"):
        build_dataset(settings(images, tmp_path / "out"), progress=False)


def test_a_full_disk_keeps_what_is_finished_and_the_build_goes_on(images, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    write, calls = pq.write_table, []

    def full(table, path, **kwargs):
        calls.append(path)
        if len(calls) == 4:
            Path(path).write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(table, path, **kwargs)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(ValueError, match=r"the disk of .* is full: 3 of 5 shards are finished and kept"):
        build_dataset(settings(images, tmp_path / "out"), progress=False)
    assert not list((tmp_path / "out").rglob("*.part"))
    monkeypatch.setattr(pq, "write_table", write)
    build_dataset(settings(images, tmp_path / "out"), progress=False)
    build_dataset(settings(images, tmp_path / "other"), progress=False)
    assert tree(tmp_path / "out") == tree(tmp_path / "other")


def test_what_cannot_be_used_is_listed_with_its_reason(images, tmp_path):
    (images / "images" / "0003.jpg").write_bytes(b"")
    (images / "images" / "0007.jpg").write_bytes((images / "images" / "0008.jpg").read_bytes()[:200])
    (images / "images" / "0009.jpg").write_bytes(b"not an image at all")
    (images / "images" / "0011.jpg").unlink()
    lines = (images / "metadata.jsonl").read_text().splitlines()
    lines[13] = lines[13].replace('"attack_type": "Fakehead"', '"attack_type": "Hologram"')
    lines[14] = lines[14][:30]
    lines[16] = lines[15]
    lines[17] = lines[17].replace("[0.1, 0.2, 0.6, 0.7]", "[0.1, 0.2, 1.6, 0.7]")
    lines[18] = "[]"
    (images / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    counts = build_dataset(settings(images, tmp_path / "out"), progress=False)
    rows = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    told = {row["image"]: row["reason"] for row in rows if row["step"] == "read"}
    assert len(told) == counts["images_read"] - counts["images_used"] == 9
    expected = {
        "set/images/0003.jpg": "empty",
        "set/images/0007.jpg": "can't be read",
        "set/images/0009.jpg": "can't be read",
        "set/images/0011.jpg": "there is no file",
        "set/images/0013.jpg": "got 'Hologram', expected one of Bonafide",
        "set/metadata.jsonl, row 15": "not JSON",
        "set/images/0015.jpg": "has a row already",
        "set/images/0017.jpg": "field boxes",
        "set/metadata.jsonl, row 19": "expected a JSON object",
    }
    assert set(told) == set(expected)
    for image, words in expected.items():
        assert words in told[image]
    assert str(tmp_path) not in json.dumps(rows), "no path of this machine"


def test_skip_bad_false_stops_at_the_first(images, tmp_path):
    (images / "images" / "0003.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"0003\.jpg: the image file is empty"):
        build_dataset(settings(images, tmp_path / "out", skip_bad=False), progress=False)


def test_splits_never_share_a_subject(images, tmp_path):
    other = make_images(tmp_path / "other")
    inputs = [str(images), {"folder": str(other), "split": "test"}]
    with pytest.raises(ValueError, match="6 subjects are in both train and test"):
        build_dataset(settings(images, tmp_path / "out", inputs=inputs), progress=False)
    inputs = [{"folder": str(images), "split": "by_subject"}]
    shares = {"train": 0.5, "validation": 0.3, "test": 0.2}
    build_dataset(settings(images, tmp_path / "out", inputs=inputs, shares=shares), progress=False)
    splits = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    subjects = [set(rows["subject_id"]) for rows in splits.values()]
    assert len(subjects) > 1 and sum(map(len, subjects)) == len(set.union(*subjects)) == 6


SHARES = {"train": 0.5, "validation": 0.3, "test": 0.2}


def test_parting_by_subject_does_not_excuse_the_other_inputs(images, tmp_path):
    """The six subjects fall into more than one split, so that some would be in train and elsewhere."""
    inputs = [str(images), {"folder": str(make_images(tmp_path / "other")), "split": "by_subject"}]
    with pytest.raises(ValueError, match="subjects are in both train and"):
        build_dataset(settings(images, tmp_path / "out", inputs=inputs, shares=SHARES), progress=False)
    same = [{"folder": one["folder"] if isinstance(one, dict) else one, "split": "by_subject"} for one in inputs]
    build_dataset(settings(images, tmp_path / "out", inputs=same, shares=SHARES), progress=False)


def test_parting_by_subject_does_not_excuse_rows_with_a_split_of_their_own(images, tmp_path):
    subject = next(f"s{i}" for i in range(6) if split_of_subject(f"s{i}", SHARES) != "test")
    rows = [json.loads(line) for line in (images / "metadata.jsonl").read_text().splitlines()]
    next(row for row in rows if row["subject_id"] == subject)["split"] = "test"
    (images / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs = [{"folder": str(images), "split": "by_subject"}]
    with pytest.raises(ValueError, match=r"1 subjects are in both \w+ and test"):
        build_dataset(settings(images, tmp_path / "out", inputs=inputs, shares=SHARES), progress=False)


def test_rows_without_a_subject_are_listed_and_share_none(images, tmp_path):
    other = make_images(tmp_path / "other", count=4, subjects=4)
    for folder in (images, other):
        text = (folder / "metadata.jsonl").read_text()
        text = text.replace('"subject_id": "s', f'"subject_id": "{folder.name}-')
        (folder / "metadata.jsonl").write_text(text.replace(f'"{folder.name}-0"', '""', 1))
    inputs = [str(images), {"folder": str(other), "split": "test"}]
    counts = build_dataset(settings(images, tmp_path / "out", inputs=inputs), progress=False)
    assert counts["skipped"]["read"] == {"a bad row: field subject_id": 2}


def test_attacks_without_boxes_are_asked_what_they_are_but_not_where(images, tmp_path):
    text = (images / "metadata.jsonl").read_text()
    (images / "metadata.jsonl").write_text(
        text.replace("[[0.1, 0.2, 0.6, 0.7]]", "[]").replace('["there"]', "[]")  # as licensed data sets are extracted
    )
    counts = build_dataset(settings(images, tmp_path / "out", tasks={"fine": 1, "localization": 2}), progress=False)
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert {row["label"] for row in rows if row["task"] == "localization"} == {"real"}
    assert len({row["subject_id"] for row in rows if row["task"] == "fine"}) == 6
    assert not any("unclear" in row["answer"] for row in rows)
    assert counts["skipped"]["ask"] == {"no box is known": 22}
    assert "| ask | no box is known | 22 |" in (tmp_path / "out" / "README.md").read_text()
    listed = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    assert {row["task"] for row in listed if row["step"] == "ask"} == {"localization"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["true"] * 24, "100.0 % of the records"),
        (["false"] * 24, "0.0 % of the records"),
        (["true"] * 6 + ["false"] * 18, "25.0 % of the records"),
        ([None] * 24, "unknown for 100.0 % (their rows don't say)"),
        (["true"] * 18 + [None] * 6, "75.0 % of the records, unknown for 25.0 % (their rows don't say)"),
    ],
)
def test_the_card_counts_simulated_images_whatever_their_data_set_is_called(images, tmp_path, told, words):
    rows = [json.loads(line) for line in (images / "metadata.jsonl").read_text().splitlines()]
    for row, word in zip(rows, told, strict=True):
        row |= {"dataset": "simpad"} | ({} if word is None else {"attributes": f'{{"simulated": {word}}}'})
    (images / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = settings(images, tmp_path / "out", tasks={"coarse": 1}, paraphrase={}, card={"synthetic": 0.5})
    build_dataset(config, progress=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"- Simulated share: {words}\n" in card
    assert "- Synthetic share: 50 % of the images show people who don't exist\n" in card


def test_the_reports_pictures_are_upright_like_their_boxes(images, tmp_path, monkeypatch):
    (images / "images" / "0002.jpg").write_bytes(turned())
    shown = []
    draw = report.contact_sheet
    monkeypatch.setattr(
        report, "contact_sheet", lambda pictures, *rest, **how: shown.extend(pictures) or draw(pictures, *rest, **how)
    )
    build_dataset(settings(images, tmp_path / "out", limit=3, tasks={"coarse": 1}, paraphrase={}), progress=False)
    assert sorted(picture.size for picture in shown) == [(48, 64), (64, 48), (64, 48)]


def test_the_clip_filter_sees_images_upright_and_on_white(images, tmp_path, monkeypatch):
    (images / "images" / "0000.jpg").write_bytes(turned())
    (images / "images" / "0001.jpg").write_bytes(clear())
    seen = []

    class Scorer:
        def __init__(self, *_):
            pass

        def score(self, pictures, texts):
            seen.extend(pictures)
            return [1.0] * len(texts)

    monkeypatch.setattr(shards, "ClipScorer", Scorer)
    filters = {"clip": {"model": "any"}}
    config = settings(images, tmp_path / "out", limit=2, tasks={"describe": 1}, filters=filters, paraphrase={})
    build_dataset(config, progress=False)
    assert [picture.size for picture in seen] == [(48, 64), (64, 48)]
    assert seen[1].getpixel((0, 0)) == (255, 255, 255)


def good_answer(asked):
    """What an obedient model says: the truth that it was told, in the form that was asked for."""
    told = asked["messages"][-1]["content"]
    told = told if isinstance(told, str) else told[-1]["text"]
    if "Known truth" not in told:
        return "A face in front of a grey wall, lit from the left."
    kind = next((k for k in AttackType if not k.is_live and f"a {k.value} attack:" in told), AttackType.BONAFIDE)
    sign = HINTS[kind].split(";")[-1].strip()
    if "Begin with the sentence" in told:
        return told.split("Begin with the sentence '")[1].split("'")[0] + f" One sees {sign}."
    if "At most eight words" in told or "at most eight words" in told:
        return "a strange thing"
    conclusion = told.split("conclude that ")[1].split("'")[0]
    return f"One sees {sign}. Analyzing these attributes, we can conclude that {conclusion}"


def endpoint(server, **changes):
    return {"kind": "endpoint", "model": "m", "base_url": server.url, "tries": 2, "timeout": 10} | changes


def test_the_label_is_told_at_generation_only(images, tmp_path):
    tasks = {"describe": 1, "fine": 1, "reasoning": 1, "localization": 1}
    with chat_server(good_answer) as server:
        config = settings(images, tmp_path / "out", tasks=tasks, assistant=endpoint(server), paraphrase={})
        counts = build_dataset(config, progress=False)
        asked = [json.dumps(request["messages"][-1]["content"][-1]) for request in server.requests]
    assert counts["records"] == 4 * 24
    assert sum("Known truth" in text for text in asked) == 24 + 24 + 22  # live faces have no region to name
    assert all("Known truth" not in text for text in asked if "Describe" in text and "describe" not in text)
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    names = [kind.value.lower() for kind in AttackType] + ["spoof", "attack", "hint", "known truth", "label"]
    for row in rows.remove_columns("image"):
        training_text = row["question"] + " " + row["answer"]
        assert SYSTEM[:40] not in training_text and "Known truth" not in training_text
        assert HINTS[AttackType(row["attack_type"])] not in training_text
        if row["task"] == "describe":
            assert not any(name in row["answer"].lower() for name in names)


def test_a_model_that_gives_the_hint_away_is_filtered(images, tmp_path):
    with chat_server(lambda asked: "As stated in the hint, paper and skin. " + good_answer(asked)) as server:
        config = settings(images, tmp_path / "out", tasks={"coarse": 1, "reasoning": 1}, assistant=endpoint(server))
        counts = build_dataset(config, progress=False)
    assert counts["filters"]["slips"] == {"seen": 48, "passed": 24}
    assert counts["task"] == {"coarse": 24}


def test_what_a_server_did_not_answer_is_listed_and_asked_for_by_the_same_command(images, tmp_path):
    config = {"tasks": {"fine": 1}, "paraphrase": {}}
    broken = lambda asked: 500 if "Tattoo" in json.dumps(asked) else good_answer(asked)  # noqa: E731
    with chat_server(broken) as server:
        one = settings(images, tmp_path / "out", assistant=endpoint(server, tries=1, give_up_after=99), **config)
        counts = build_dataset(one, progress=False)
        assert (counts["records"], counts["unanswered"]) == (22, 2)
        rows = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
        assert [(row["step"], row["reason"][:8]) for row in rows] == [("assistant", "HTTP 500")] * 2
        asked_before = len(server.requests)
        server.script = [good_answer]
        counts = build_dataset(one, progress=False)
        assert (counts["records"], counts["unanswered"]) == (24, 0)
        assert len(server.requests) == asked_before + 2, "only what was missing is paid for"
        build_dataset(settings(images, tmp_path / "whole", assistant=endpoint(server), **config), progress=False)
    assert tree(tmp_path / "out" / "data") == tree(tmp_path / "whole" / "data")


def test_the_judge_turns_down_what_it_does_not_believe(images, tmp_path):
    verdict = lambda asked: "no. It shows nothing" if "a Replay attack" in json.dumps(asked) else "Yes."  # noqa: E731
    with chat_server(verdict) as server:
        filters = {"judge": endpoint(server)}
        counts = build_dataset(
            settings(images, tmp_path / "out", tasks={"fine": 1}, filters=filters, paraphrase={}), progress=False
        )
    assert counts["filters"]["judge"] == {"seen": 24, "passed": 22, "unreadable": 0}
    assert counts["skipped"]["judge"] == {"It shows nothing": 2}


def chain(asked, conclusion):
    parts = ("caption", "facial_description", "facial_attributes", "reasoning", "spoofing_description")
    told = asked["messages"][-1]["content"][-1]["text"]
    hint = told.split("Known truth, not to be mentioned: ")[1].split(": ")[1].split(".")[0].split(";")[-1]
    return "\n".join(f"<{p}>One sees {hint.strip()}.</{p}>" for p in parts) + f"<conclusion>{conclusion}</conclusion>"


def test_chains_of_thought_get_two_passes_and_a_report(images, tmp_path):
    def answer(asked):
        text = asked["messages"][-1]["content"][-1]["text"]
        right = text.split("<conclusion>")[1].split("</conclusion>")[0]
        if "Print attack" in text and "earlier attempt" not in text:
            return chain(asked, "The face in the image is real.")
        if "Replay attack" in text:
            return chain(asked, "The face in the image is a spoof (Tattoo).")
        return chain(asked, right)

    with chat_server(answer) as server:
        config = settings(images, tmp_path / "out", tasks={"cot": 1}, assistant=endpoint(server), paraphrase={})
        counts = build_dataset(config, progress=False)
    assert counts["passes"] == {"asked": 24, "right_first": 20, "right_second": 2}
    rows = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rows] == ["concludes spoof (Tattoo) (after two passes)"] * 2
    assert "20 had the right conclusion and form at the" in (tmp_path / "out" / "README.md").read_text()


def test_a_dead_server_ends_in_one_line_and_a_code(images, tmp_path, capsys):
    with chat_server(401) as server:
        url = server.url
        arguments = ["--out", str(tmp_path / "out"), "--inputs", str(images), "--tasks.fine", "1"]
        code = main([*arguments, "--assistant.kind=endpoint", f"--assistant.base_url={url}", "--assistant.model=m"])
    assert code == 2
    assert "HTTP 401" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": []}, "inputs is missing"),
        ({"task": {}}, r"unknown keys \['task'\]"),
        ({"tasks": {"guess": 1}}, r"tasks names \['guess'\]"),
        ({"tasks": {"coarse": 9}}, "there are 8 wordings"),
        ({"tasks": {"coarse": -1}}, "positive number"),
        ({"assistant": {"knd": "template"}}, r"assistant has the unknown keys \['knd'\]"),
        ({"filters": {"clip": {"model": "m", "threshold": 15}}}, "expected a cosine"),
        ({"filters": {"judge": {"kind": "template"}}}, "a judge must be local or endpoint"),
        ({"filters": {"spoof_words": True}}, "add describe to tasks"),
        ({"paraphrase": {"share": 2}}, "expected 0 to 1"),
        ({"shares": {"train": 0.5}}, "add up to 1"),
        ({"inputs": ["a/set", "b/set"]}, "same source and folder name"),
        ({"inputs": [{"folder": "a", "split": "dev"}]}, "inputs.split is 'dev'"),
    ],
)
def test_a_wrong_configuration_is_told_by_its_key(change, message):
    with pytest.raises(ValueError, match=message):
        read_config({"out": "o", "inputs": ["i"], "tasks": {"coarse": 1}} | change)


@pytest.mark.parametrize("path", sorted((RECIPES / "build-dataset").glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_is_read(path):
    values = yaml.safe_load(path.read_text())
    if path.name == "scf.yaml":
        values = values["caption"]
    assert read_config(values).tasks


def test_arguments_win_over_the_yaml(tmp_path):
    (tmp_path / "a.yaml").write_text("out: o\ntasks: {coarse: 1}\nassistant: {kind: template}\n")
    values = read_arguments(
        ["--config", str(tmp_path / "a.yaml"), "--inputs", "x", "y", "--assistant.model", "m", "--seed=3"]
    )
    assert values == {
        "out": "o",
        "tasks": {"coarse": 1},
        "assistant": {"kind": "template", "model": "m"},
        "inputs": ["x", "y"],
        "seed": 3,
    }


@pytest.mark.parametrize("arguments", [["x"], ["--out"], ["--config", "missing.yaml"]])
def test_wrong_arguments_are_one_line_on_standard_error(arguments, capsys):
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_work_files_stay_out_of_the_result(images, tmp_path):
    build_dataset(settings(images, tmp_path / "out"), progress=False)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "build.json", "contact_sheet.png", "data", "report.html", "skipped.jsonl"}
    assert not any(name.startswith(".") for name in os.listdir(tmp_path / "out" / "data"))
