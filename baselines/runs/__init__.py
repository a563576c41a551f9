"""The folder of a training run: its files, checkpoints, lock, trackers and curves; several runs at once."""
