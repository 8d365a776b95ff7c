"""Data sets for the Hub: Parquet with the images inside, and a card; private unless told otherwise, as they are faces.

Takes a folder of `faceshield build-dataset` as it is, and a folder of images with `metadata.jsonl`, as
`faceshield simulate` writes it, which becomes Parquet first: thousands of single files load slowly, and the Hub takes
no more than ten thousand in a folder.

Example:
    >>> from faceshield_hf.hub import plan_dataset
    >>> plan_dataset("outputs/simulated", "user/faces").describe()  # doctest: +SKIP
    'dataset user/faces (private): ...'
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faceshield_hf.hub.cards import dataset_card
from faceshield_hf.hub.commit import Gated, Plan, Pushed, check_repo_id, local_files, push


ROWS_PER_FILE = 2000
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_BUILT = ("data/*.parquet", "build.json", "report.html", "skipped.jsonl", "LICENSE*")


@contextmanager
def plan_dataset(
    folder: str | Path, repo_id: str, private: bool = True, gated: Gated = None, license: str = "other"
) -> Iterator[Plan]:
    """Say what pushing a data set would do. A context manager: Parquet files made for it last as long as it does.

    Args:
        folder (`str` or `Path`): with `data/*.parquet`, or with images and `metadata.jsonl`.
        repo_id (`str`): "user/name".
        private (`bool`, *optional*, defaults to `True`): whether only you may see it.
        gated (`str`, *optional*): "auto" or "manual"; the card then asks for name and purpose.
        license (`str`, *optional*, defaults to "other"): of the images, unless the card says one.

    Yields:
        [`Plan`]: to look at or to `push`.

    Raises:
        ValueError: when the folder is of neither kind, or the id is none.
    """
    check_repo_id(repo_id)
    folder = Path(folder)
    with tempfile.TemporaryDirectory(prefix="faceshield-push-") as scratch:
        files = local_files(folder, _BUILT)
        if not any(path.endswith(".parquet") for path in files):
            _check_imagefolder(folder)
            files = local_files(_to_parquet(folder, Path(scratch)))
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else None
        splits = sorted({Path(path).name.rpartition("-")[0] for path in files if path.endswith(".parquet")})
        metadata = {
            "license": license,
            "language": ["en"],
            "task_categories": ["image-text-to-text", "image-classification"],
            "tags": ["face-anti-spoofing", "presentation-attack-detection", "faceshield"],
            "size_categories": [_size_category([path for path in files.values() if str(path).endswith(".parquet")])],
            "configs": [
                {
                    "config_name": "default",
                    "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
                }
            ],
        }
        files["README.md"] = dataset_card(text, repo_id, metadata, gated=gated is not None).encode()
        yield Plan("dataset", repo_id, files, private, gated)


def push_dataset(
    folder: str | Path,
    repo_id: str,
    private: bool = True,
    gated: Gated = None,
    license: str = "other",
    update: bool = False,
    message: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Push a data set that `datasets.load_dataset` reads.

    Args:
        folder (`str` or `Path`): as in `plan_dataset`.
        repo_id (`str`): "user/name".
        private (`bool`, *optional*, defaults to `True`): as in `plan_dataset`.
        gated (`str`, *optional*): as in `plan_dataset`.
        license (`str`, *optional*, defaults to "other"): as in `plan_dataset`.
        update (`bool`, *optional*, defaults to `False`): as in `push`.
        message (`str`, *optional*): as in `push`.
        token (`str`, *optional*): as in `push`.

    Returns:
        [`Pushed`]: page and commit.

    Raises:
        ValueError: as `plan_dataset` and `push` do.
    """
    with plan_dataset(folder, repo_id, private, gated, license) as plan:
        return push(plan, update, message, token)


def _check_imagefolder(folder: Path) -> None:
    """Refuse what is no data set, and a table that names files outside of its folder."""
    table = folder / "metadata.jsonl"
    if not table.is_file():
        raise ValueError(
            f"{folder} holds neither data/*.parquet nor metadata.jsonl: expected what `faceshield build-dataset` or "
            "`faceshield simulate` wrote"
        )
    root = folder.resolve()
    with table.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                name = json.loads(line)["file_name"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{table}, line {number}: expected a JSON object with file_name ({error})") from error
            file = (folder / name).resolve()
            if not file.is_relative_to(root) or not file.is_file():
                raise ValueError(f"{table}, line {number}: {name!r} is no file inside of {folder}")


def _to_parquet(folder: Path, scratch: Path) -> Path:
    from datasets import disable_progress_bars, enable_progress_bars, load_dataset
    from datasets.utils import are_progress_bars_disabled
    from tqdm import tqdm

    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        splits = load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(scratch / "cache"))
        total = sum(-(-len(split) // ROWS_PER_FILE) for split in splits.values())
        with tqdm(total=total, unit="file", desc="Parquet", delay=2, disable=None, leave=False) as bar:
            for name, split in splits.items():
                count = -(-len(split) // ROWS_PER_FILE)
                for i in range(count):
                    file = scratch / "out" / "data" / f"{name}-{i:05d}.parquet"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    split.shard(count, i, contiguous=True).to_parquet(str(file))
                    bar.update()
    finally:
        if not quiet:
            enable_progress_bars()
    return scratch / "out"


def _size_category(files: list[Path | bytes]) -> str:
    from pyarrow import parquet

    rows = sum(parquet.ParquetFile(str(file)).metadata.num_rows for file in files)
    return next((name for limit, name in _SIZES if rows < limit), "n>1M")
