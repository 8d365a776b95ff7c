import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance
from skimage.data import astronaut

from faceshield_hf.data.samples import Sample, read_samples
from faceshield_hf.data.schema import record_id
from faceshield_hf.data.sim_benchmark import BenchmarkSettings, build_sim_benchmark, part_subjects
from faceshield_hf.data.simulate import DOMAINS
from faceshield_hf.evaluation.protocols import assign, load_protocols
from faceshield_hf.tasks_faceshield import AttackType, Task


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    root = tmp_path_factory.mktemp("faces")
    photo = Image.fromarray(astronaut()).crop((100, 0, 356, 256))
    photo.save(root / "one.png")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "two.png")
    ImageEnhance.Brightness(photo).enhance(0.8).save(root / "three.png")
    (root / "manifest.csv").write_text("file,split\none.png,train\ntwo.png,validation\nthree.png,test\n")
    return root


def _settings(faces, out, **other):
    return BenchmarkSettings(
        faces=str(faces), out=str(out), per_face=[3, 2, 2], domains=["A", "C"], live_share=0.5, workers=1, **other
    )


def _bytes(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(Path(out).rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(faces, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "simpad"
    build_sim_benchmark(_settings(faces, out))
    return out


def test_splits_part_people_and_domains_are_there_in_each(made):
    samples = read_samples(made)
    assert Counter((s.split, s.domain) for s in samples) == {
        (split, domain): n for split, n in (("train", 3), ("validation", 2), ("test", 2)) for domain in "AC"
    }
    assert {s.is_simulated for s in samples} == {True}
    assert {(s.subject_id, s.split) for s in samples} == {("one", "train"), ("two", "validation"), ("three", "test")}


def test_every_image_gets_every_task_and_its_path_is_relative(made):
    records = [json.loads(line) for line in (made / "records" / "train-A.jsonl").read_text().splitlines()]
    assert len(records) == 3 * len(Task)
    for record in records:
        assert (made / record["image"]).is_file()
        assert record["split"] == "train"
        assert record["id"] == record_id("simpad", record["image"], record["task"])
    assert Counter(r["task"] for r in records) == {task.value: 3 for task in Task}


def test_the_summary_counts_what_is_there(made):
    summary = json.loads((made / "benchmark.json").read_text())
    for name, counts in summary["counts"].items():
        images = sum(n for kind, n in counts.items() if kind != "records")
        assert images == len(list((made / "images" / name / "images").glob("*.jpg")))
        assert counts["records"] == images * len(Task)


def test_another_seed_gives_other_images_and_is_refused_in_the_same_folder(faces, made):
    with pytest.raises(ValueError, match="holds a benchmark with other seed"):
        build_sim_benchmark(dataclasses.replace(_settings(faces, made), seed=1))


def test_a_killed_run_goes_on_to_the_same_bytes(faces, made, tmp_path):
    out = tmp_path / "simpad"
    code = (
        "import sys; from faceshield_hf.data.sim_benchmark import *\n"
        f"build_sim_benchmark(BenchmarkSettings(faces={str(faces)!r}, out={str(out)!r}, per_face=[3, 2, 2], "
        "domains=['A', 'C'], live_share=0.5, workers=1))"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while len(list(out.rglob("*.jpg"))) < 2 and running.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (out / "benchmark.json").exists()
    build_sim_benchmark(_settings(faces, out))
    left = {name: data for name, data in _bytes(out).items() if not name.endswith(".part")}
    assert left == _bytes(made)


def test_a_subjects_split_does_not_depend_on_who_else_is_there():
    names = [f"person {k}" for k in range(400)]
    parted = part_subjects(names, seed=3)
    assert part_subjects(names[:7], seed=3) == {name: parted[name] for name in names[:7]}
    counts = Counter(parted.values())
    assert 250 < counts["train"] < 310
    assert 20 < counts["validation"] < 60
    assert parted != part_subjects(names, seed=4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,split\none.png,dev\n", "line 2: got file 'one.png' and split 'dev'"),
        ("file,split,subject\none.png,train,a\ntwo.png,test,a\n", "line 3: subject 'a' is in train and in test"),
        ("file,split\n", "has no rows"),
    ],
)
def test_a_wrong_split_file_names_the_line(faces, tmp_path, table, message):
    file = tmp_path / "split.csv"
    file.write_text(table)
    with pytest.raises(ValueError, match=message):
        build_sim_benchmark(_settings(faces, tmp_path / "out", split_file=str(file)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": "nowhere"}, "got faces='nowhere'"),
        ({"per_face": [1, 2]}, r"got per_face=\[1, 2\]"),
        ({"shares": [0.5, 0.1, 0.1]}, "whose sum is 1"),
        ({"domains": ["D"]}, "expected some of A, B, C"),
        ({"records_per_image": 9}, "expected 1 to 6"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(faces, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        build_sim_benchmark(dataclasses.replace(_settings(faces, tmp_path / "out"), **change))
    assert not (tmp_path / "out").exists()


def test_the_recipes_yaml_holds_known_settings(monkeypatch):
    pytest.importorskip("trl")
    from faceshield_hf.training.run import parse_arguments

    config = str(RECIPES / "sim-benchmark" / "simpad.yaml")
    monkeypatch.setattr(sys, "argv", ["sim_benchmark.py", "--config", config, "--faces", "f"])
    (settings,) = parse_arguments(BenchmarkSettings)
    assert settings.faces == "f"
    assert settings.per_face == [8, 6, 8]


def test_the_held_out_variants_of_the_protocols_are_drawn_by_domains_a_and_b():
    drawn = {
        name: {value for domain in "AB" for field in fields for value in getattr(DOMAINS[domain], field)}
        for name, fields in {
            "device": ("devices",),
            "process": ("prints",),
            "material": ("mask_materials", "silicones", "mannequins"),
            "kind": ("glasses", "patches", "makeups"),
        }.items()
    }
    for name, values in drawn.items():
        protocols = load_protocols(RECIPES / "sim-benchmark" / f"unseen-{name}.yaml")
        assert {p.removeprefix("simpad-unseen-") for p in protocols} <= values


def test_protocols_part_the_benchmark_as_it_is_built(made):
    held = assign(
        load_protocols(RECIPES / "sim-benchmark" / "cross.yaml")["simpad-cross-C"], {"simpad": read_samples(made)}, ()
    )
    assert {(s.split, s.domain) for s in held.train} == {("train", "A")}
    assert {(s.split, s.domain) for s in held.dev} == {("validation", "A")}
    assert {(s.split, s.domain) for s in held.test} == {("test", "C")}


VARIANTS = ("device", "process", "material", "kind")


def every_sample(protocols):
    """One image of every split, domain and type, and of every variant that these protocols hold out."""
    held_out = [
        (c.field, c.wanted) for p in protocols for rule in p.rules["test"] for c in rule if c.field in VARIANTS
    ]
    return [
        Sample(
            Path(f"{split}-{domain}-{kind.value}-{told}.jpg"), kind, split, domain=domain, split=split, attributes=told
        )
        for split in ("train", "validation", "test")
        for domain in "ABC"
        for kind, told in [
            *((kind, {}) for kind in AttackType),
            *((AttackType.PRINT, {field: value}) for field, value in held_out),
        ]
    ]


@pytest.mark.parametrize(
    "file",
    sorted(set((RECIPES / "sim-benchmark").glob("*.yaml")) - {RECIPES / "sim-benchmark" / "simpad.yaml"}),
    ids=lambda file: file.stem,
)
def test_every_protocol_has_people_of_its_own_in_each_split_and_tests_only_what_it_holds_out(file):
    protocols = load_protocols(file).values()
    samples = {"simpad": every_sample(protocols)}
    for protocol in protocols:
        parts = assign(protocol, samples)  # raises where bona fide or attacks are missing
        assert [{s.split for s in part} for part in (parts.train, parts.dev, parts.test)] == [
            {"train"},
            {"validation"},
            {"test"},
        ]
        for condition in (c for rule in protocol.rules["test"] for c in rule if c.field in VARIANTS):
            assert not any(condition.holds(s, "simpad") for s in [*parts.train, *parts.dev])
            assert {condition.holds(s, "simpad") for s in parts.test if not s.is_live} == {True}
        if file.stem == "unseen-variants":
            assert {s.domain for s in parts.train} == {"A", "B"} and {s.domain for s in parts.test} == {"C"}
