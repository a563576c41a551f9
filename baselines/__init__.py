"""Who learns and who is measured: self-play training of a tiny policy, its warm start and its evaluation."""
