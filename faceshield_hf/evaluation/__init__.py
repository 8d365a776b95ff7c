"""How well a detector does: metrics of presentation attack detection and of localization, and runs over a folder."""
