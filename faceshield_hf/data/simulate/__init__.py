"""Presentation attacks simulated from photos of faces, at camera resolution, with exact boxes and named traces.

`simulate` makes one image, `simulate_folder` a data set that `datasets.load_dataset("imagefolder", ...)` reads. One
file holds one family of attacks. Simulated attacks are a substitute for licensed recordings, not their equal.

Example:
    >>> from faceshield_hf.data.simulate import list_faces, simulate, simulate_folder
"""

from .core import Simulated, simulate
from .domains import DOMAINS, Domain
from .folder import list_faces, plan_types, simulate_folder
from .sheet import contact_sheet


__all__ = [
    "DOMAINS",
    "Domain",
    "Simulated",
    "contact_sheet",
    "list_faces",
    "plan_types",
    "simulate",
    "simulate_folder",
]
