"""Videos and cameras: frames with their times in, a harmonized video with its sound out."""
