"""Round robin of proposers and solvers: who beats whom, ratings, exploitability, pictures."""
