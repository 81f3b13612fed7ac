"""Data: published data sets, people's own photographs, and composites synthesized from them."""
