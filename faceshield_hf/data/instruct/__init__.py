"""Instruction data: what is asked of an image and how it is answered."""
