"""Any data set as a stream of `Sample`s: nothing written, memory flat.

Still images stay where they are (each is decoded once, so that a damaged one is found here); frames of videos and
HDF5 files, and crops, travel inside the sample as PNG. To read such a data set more than once, extract it first
(`extract.py`).

Example:
    >>> from faceshield_hf.data.sources.read import SOURCES
    >>> "wmca" in SOURCES and "folder" in SOURCES
    True
    >>> # for item in read("casia-fasd", "CASIA"): a Sample, or a Skipped with its reason
"""

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from faceshield_hf.data.samples import Sample

from . import celeba_spoof, folder, mcio, padisi, siw_mv2, wmca
from .common import Reader, Recording, Skipped, Splits
from .crop import Crop, crop_face


READERS: dict[str, Reader] = {
    reader.source: reader
    for reader in (wmca.READER, padisi.READER, siw_mv2.READER, celeba_spoof.READER, *mcio.READERS)
}
SOURCES = (*READERS, folder.SOURCE)


def read(
    source: str,
    root: str | Path,
    splits: Splits | None = None,
    frames: int | None = None,
    crop: Crop | None = None,
) -> Iterator[Sample | Skipped]:
    """Read a data set.

    Args:
        source (`str`): one of `SOURCES`.
        root (`str` or `Path`): the data set's folder.
        splits (`Splits`, *optional*): the data set's lists, or the shares of a split by subject.
        frames (`int`, *optional*): at most so many of each recording; what the papers use if not given.
        crop (`Crop`, *optional*): cut out the face.

    Yields:
        `Sample` or `Skipped`: in a fixed order.

    Raises:
        ValueError: when the source is unknown, has no use for an argument, or the folder does not look like the data
            set.
    """
    splits = splits or Splits()
    if source == folder.SOURCE:
        if frames is not None or splits.lists is not None or splits.fold is not None:
            raise ValueError(
                "frames, lists and fold are for data sets; a folder's images are taken one a row, with the row's split"
            )
        if crop is not None:
            raise ValueError("crop is for data sets; crop a folder's images before their boxes are drawn")
        yield from folder.samples(root, splits)
        return
    reader = reader_of(source)
    reader.check(splits)
    for item in reader.recordings(Path(root), splits):
        if isinstance(item, Skipped):
            yield item
        else:
            yield from samples_of(item, frames, crop)


def reader_of(source: str) -> Reader:
    """The reader of a data set.

    Raises:
        ValueError: when there is none of that name.
    """
    if source not in READERS:
        raise ValueError(f"unknown source {source!r}; choose from {', '.join(READERS)}")
    return READERS[source]


def samples_of(
    recording: Recording, frames: int | None = None, crop: Crop | None = None, encoding: str = "png"
) -> Iterator[Sample | Skipped]:
    """The samples of one recording.

    Args:
        recording (`Recording`): from a reader.
        frames (`int`, *optional*): at most so many; the reader's default if not given.
        crop (`Crop`, *optional*): cut out the face.
        encoding (`str`, *optional*, defaults to `"png"`): "png" (lossless) or "jpg" (quality 95) for frames and crops.

    Yields:
        `Sample` or `Skipped`: a frame without a face is skipped alone; a damaged file gives what came before it.
    """
    reader = reader_of(recording.source)
    count = reader.default_frames if frames is None else frames
    if count < 1:
        raise ValueError(f"got frames={count}, at least 1 of each recording is needed")
    try:
        for index, image in reader.frames(recording, count):
            try:
                picture = image if crop is None else crop_face(image, crop, recording.face_box)
            except ValueError as error:
                yield Skipped(recording.source, f"{recording.name}, frame {index}", str(error))
                continue
            yield _sample(recording, index, picture, as_file=recording.still and crop is None, encoding=encoding)
    except ValueError as error:
        yield Skipped(recording.source, recording.name, str(error))


def encode(image: Image.Image, encoding: str) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    if encoding == "png":
        image.save(buffer, "PNG", compress_level=3)
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def _sample(recording: Recording, index: int, image: Image.Image, *, as_file: bool, encoding: str) -> Sample:
    facts = {"recording": recording.name, "frame": index, "simulated": False} | recording.attributes
    if recording.face_box is not None and as_file:
        facts["face_box"] = [round(edge, 5) for edge in recording.face_box]
    return Sample(
        path=recording.path if as_file else Path(recording.name) / f"frame-{index:05d}.{encoding}",
        attack_type=recording.attack_type,
        subject_id=recording.subject_id,
        domain=recording.source,
        attributes=facts | {"width": image.width, "height": image.height},
        content=None if as_file else encode(image, encoding),
        source=recording.source,
        native_label=recording.native_label,
        split=recording.split,
    )
