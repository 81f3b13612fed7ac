"""The LiteRT backend, for Android and boards of the Raspberry Pi class."""
