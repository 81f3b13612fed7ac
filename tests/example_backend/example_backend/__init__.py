"""An example of a backend in a distribution of its own; see docs/adding-a-backend.md."""
