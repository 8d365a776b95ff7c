"""Data for face anti-spoofing: simulated attacks, record schema, sources and instruction sets.

Nothing is imported here: each part is used by its own name, e.g. `faceshield_hf.data.simulate`.
"""
