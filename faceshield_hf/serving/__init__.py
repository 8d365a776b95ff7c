"""One checkpoint for other programs: OpenAI-compatible chat and typed verdicts over HTTP.

`app.py` holds the routes, `analyze.py` the typed verdict, `batching.py` puts images that come at the same time through
the model together, `chat.py` lends transformers' own chat handler this model, `limits.py` says what is too much. One
process serves one checkpoint; for more, start more behind a load balancer that asks `/ready`.

Example:
    $ faceshield serve --port 8000
"""

from faceshield_hf.serving.app import build_app, run_server
from faceshield_hf.serving.limits import Limits


__all__ = ["Limits", "build_app", "run_server"]
