"""Files: atomic writing, manifests, lookup by name, typed TOML."""
