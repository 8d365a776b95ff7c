"""The public data sets of the field, read as they are delivered: one file a data set.

Every reader lists *recordings* (a video, an HDF5 file, a still image) with the data set's own label, the subject and
the split, and gives their frames on demand, so that memory stays flat. `read.py` turns any of them into `Sample`s,
`extract.py` writes them into a folder with `metadata.jsonl` that all else reads. What can't be used (a label outside
the twelve types, a damaged file) comes out as a `Skipped` with its reason: nothing is dropped silently.

No data set is downloaded: nearly all come only to people who sign for them. From a shell:

    python -m faceshield_hf.data.sources extract wmca --root WMCA --out wmca-frames --crop
    python -m faceshield_hf.data.sources convert-padisi padisi_USC_FACE_preprocessed.bz2 --out padisi/color.parquet

Nothing is imported here: each part is used by its own name, e.g. `faceshield_hf.data.sources.read`.
"""
