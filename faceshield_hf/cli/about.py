"""`faceshield demo` and `info`: try what is installed, and see what that is.

Example:
    $ faceshield info
"""

import contextlib
import json
import sys
from importlib import metadata
from typing import Annotated

import typer

from faceshield_hf.cli.common import ModelOption, find_folder, one_line_errors, require, run_program
from faceshield_hf.version import __version__


_PACKAGES = ("torch", "transformers", "tokenizers", "pillow", "gradio", "trl", "datasets", "fastapi")


def demo(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    model: ModelOption = None,
) -> None:
    """Start the Space on this machine: upload a face, see the verdict, the boxes and the words."""
    with one_line_errors():
        require("gradio", "space", "the demo")
        app = find_folder("space", "app.py", "the Space") / "app.py"
        environment = {"GRADIO_SERVER_NAME": host, "GRADIO_SERVER_PORT": str(port)}
        if model is not None:
            environment["FACESHIELD_MODEL"] = model
        raise typer.Exit(run_program([sys.executable, str(app)], environment))


def info(model: ModelOption = None) -> None:
    """Print the versions, the checkpoint and the device that `detect` would use."""
    with one_line_errors():
        import torch

        from faceshield_hf.checkpoints import best_device, resolve_checkpoint

        device = best_device()
        folder, name = resolve_checkpoint(model)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        lines = [f"faceshield-hf {__version__}", f"python        {sys.version.split()[0]}"]
        for package in _PACKAGES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                lines.append(f"{package:13} {metadata.version(package)}")
        kinds = {part: config.get(f"{part}_config", {}).get("model_type", "?") for part in ("vision", "text")}
        parts = f"vision {kinds['vision']}, language {kinds['text']}"
        threads = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
        lines += [
            f"checkpoint    {name}",
            f"              {folder}",
            f"              {size / 1e6:.1f} MB, {parts}, threshold {config.get('score_threshold', 0.5):.3f}",
            f"device        {device} ({threads})",
        ]
        typer.echo("\n".join(lines))
