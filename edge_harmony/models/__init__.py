"""Networks: one file each, built from ``layers``; ``registry`` lists their names, sizes and weights."""
