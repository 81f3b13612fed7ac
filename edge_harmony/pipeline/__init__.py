"""The pipeline from a composite and a mask to a harmonized picture, for single pictures and for streams."""
