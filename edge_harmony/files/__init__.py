"""Files: written whole or not at all, described by a manifest, found by name, read as typed TOML."""
