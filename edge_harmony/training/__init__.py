"""Training: typed recipes, losses, the trainer, its checkpoints; needs the extra ``[train]``."""
