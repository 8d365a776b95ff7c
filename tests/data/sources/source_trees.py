"""Small trees in the native layouts of the data sets, written with the libraries that their authors use."""

import csv
import json

import cv2
import h5py
import joblib
import numpy as np
from PIL import Image


def picture(seed=0, width=48, height=40):
    """Noise under a gradient: no two seeds look alike."""
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    ramp = np.linspace(0, 180, width)[None, :, None]
    return (noise + ramp).astype(np.uint8)


def write_video(path, frames=12, size=(64, 48), codec="mp4v"):
    """Frame i is a flat gray of 20 * i, so that a decoded frame tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * index, np.uint8))
    writer.release()
    return path


def frame_number(image):
    """Which frame of `write_video` an image is."""
    return round(float(np.asarray(image, np.float32).mean()) / 20)


def write_wmca(root, names, frames=4, shape=(3, 16, 16)):
    for number, name in enumerate(names):
        path = root / f"{name}.hdf5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for index in range(frames):
                values = np.random.default_rng([number, index]).integers(0, 256, shape).astype(np.uint8)
                file.create_dataset(f"Frame_{index}/array", data=values)
            file["FrameIndexes"] = np.arange(frames)
    return root


PADISI_ROWS = (
    ("a4ac", "08b8", "FACE_NEUTRAL_WITHOUT_GLASS", "m00000", "person1"),
    ("a4ac", "289a", "FACE_SMILE_WITH_GLASS", "m00000", "person1"),
    ("84ea", "c1ac", "FACE_NEUTRAL_WITHOUT_GLASS", "m50602", "person2"),
    ("84ea", "6bbb", "FACE_NEUTRAL_WITHOUT_GLASS", "m50507", "person2"),  # a mask of fabric: none of the twelve types
    ("04ba", "a4de", "FACE_NEUTRAL_WITHOUT_GLASS", "m50901", "person3"),
)


def write_padisi_tables(root, rows=PADISI_ROWS):
    root.mkdir(parents=True, exist_ok=True)
    with (root / "padisi_USC_FACE_ground_truth.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["transaction_id", "trial_id", "trial_name", "modality", "ground_truth", "participant_id"])
        table.writerows([*row[:3], "FACE", *row[3:]] for row in rows)
    with (root / "partition_3folds_part0.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["transaction_id", "trial_id", "trial_name", "partition_name"])
        table.writerows([*row[:3], {"person1": "train", "person2": "valid"}.get(row[4], "test")] for row in rows)
    return root


def write_padisi_joblib(path, rows=PADISI_ROWS, compress=("bz2", 3), dtype=np.float64):
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (len(rows), 3, 20, 16)) / 255
    data = {
        "data": images.astype(dtype),
        "identifiers": ["ID_" + "_".join(row[:3]) for row in rows],
        "labels": [row[3] != "m00000" for row in rows],
        "pai_codes": [row[3] for row in rows],
    }
    joblib.dump(data, path, compress=compress)
    return data


def write_celeba(root, rows, split="train", protocol="intra_test"):
    """Rows: (subject, "live" or "spoof", number, type), with a face box in the middle half."""
    labels = {}
    for subject, kind, number, code in rows:
        name = f"Data/{split}/{subject}/{kind}/{number}.png"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(int(number))).save(path)
        path.with_name(f"{number}_BB.txt").write_text("56 56 112 112 0.998\n")
        labels[name] = [0] * 40 + [code, 1, 2, int(kind == "spoof")]
    metas = root / "metas" / protocol
    metas.mkdir(parents=True, exist_ok=True)
    (metas / f"{split}_label.json").write_text(json.dumps(labels))
    return labels
