"""How the model learns: stages, the tower's adaptation to spoof-aware views, and what the recipes share."""
