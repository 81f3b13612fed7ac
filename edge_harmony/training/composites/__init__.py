"""Synthesizing composites from photographs: light, rims, JPEG."""
