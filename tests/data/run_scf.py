"""The SCF recipe with a captioner whose captions name each attack's medium, as a random model never would."""

import runpy
import sys
from pathlib import Path

import faceshield_hf  # noqa: F401  (registers the tiny captioner's classes)
from faceshield_hf.data.instruct import local
from faceshield_hf.data.instruct.assistants import Reply


ask = local.LocalAssistant.reply


def captioned(self, requests):
    """Ask the model, as always, and put words of every medium before what it says."""
    words = "Paper, paint, ink, glasses, a mask, plastic, a panel, eyes, lips and skin are seen."
    return [Reply(f"{words} {len(reply.text)} letters were said.") for reply in ask(self, requests)]


local.LocalAssistant.reply = captioned
recipe = Path(__file__).parents[2] / "recipes" / "scf.py"
sys.argv[0] = str(recipe)
runpy.run_path(str(recipe), run_name="__main__")
