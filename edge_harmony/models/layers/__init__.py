"""The layers of the HDNet family, one file each."""
