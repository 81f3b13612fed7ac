"""Videos and cameras: read frames with their times, write a harmonized video with its sound."""
