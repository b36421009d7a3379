"""Training: the trainer, its data loading and the folder of a run."""
