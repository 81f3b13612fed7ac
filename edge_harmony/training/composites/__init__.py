"""Making composites from photographs: light, rims, JPEG."""
