"""An HTTP service: pictures in, harmonized pictures out."""
