"""Networks: one file each, built from ``layers``; ``registry`` knows their names, sizes and weights."""
