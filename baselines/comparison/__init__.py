"""Training runs side by side: read from their folders, aggregated over seeds, as tables, files and curves."""
