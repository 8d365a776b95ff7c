"""Frames of a video, taken evenly and always the same ones, by OpenCV.

It decodes in order, never seeks: what a seek lands on depends on the container's index and OpenCV's version.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.sources.video import video_frames
    >>> list(video_frames(Path("missing.mp4"), 2))
    Traceback (most recent call last):
    ...
    ValueError: missing.mp4 can't be opened as a video: it is missing, empty, damaged, or of an unknown codec
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .common import evenly


VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm", ".wmv")


def list_videos(folder: Path) -> list[Path]:
    """All video files below a folder, sorted by their path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())


def video_frames(path: Path, count: int, offset: int = 0) -> Iterator[tuple[int, Image.Image]]:
    """Decode `count` frames of a video, spread evenly over it (see `evenly`).

    Args:
        path (`Path`): the video.
        count (`int`): how many frames, at least 1; fewer come if the video has fewer.
        offset (`int`, *optional*, defaults to 0): the first frame taken.

    Yields:
        `tuple[int, Image.Image]`: the frame's number from 0, and the frame in RGB, upright.

    Raises:
        ValueError: when the file is no video or holds no frame.
    """
    wanted = evenly(max(0, _stated_length(path)), count, offset)
    frames = _decode(path, wanted) if wanted else []
    if not wanted or len(frames) < len(wanted):
        # Containers often state a wrong length: then the frames are counted.
        total = sum(1 for _ in _steps(path))
        if total == 0:
            raise ValueError(f"{path} holds no frame that can be decoded: the video is empty or damaged")
        frames = _decode(path, evenly(total, count, offset))
    yield from frames


def _decode(path: Path, wanted: list[int]) -> list[tuple[int, Image.Image]]:
    """The wanted frames, or fewer where the video ends before them."""
    frames = []
    for index, capture in _steps(path, wanted[-1]):
        if index in wanted:
            decoded, frame = capture.retrieve()
            if not decoded or frame is None or not frame.size:
                raise ValueError(f"{path}: frame {index} can't be decoded")
            frames.append((index, Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))))
    return frames


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        capture.release()
        raise ValueError(f"{path} can't be opened as a video: it is missing, empty, damaged, or of an unknown codec")
    return capture


def _stated_length(path: Path) -> int:
    capture = _open(path)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()


def _steps(path: Path, last: int | None = None) -> Iterator[tuple[int, cv2.VideoCapture]]:
    """Step through the frames up to `last`, not fetching them."""
    capture = _open(path)
    try:
        index = 0
        while (last is None or index <= last) and capture.grab():
            yield index, capture
            index += 1
    finally:
        capture.release()
