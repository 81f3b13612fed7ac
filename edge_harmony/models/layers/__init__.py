"""The layers of the networks, one file each."""
