"""`ssp plan`: what a run needs on GPUs, worked out before any is rented."""
