"""The game behind the interfaces of others: PettingZoo, Gymnasium, and search for any text environment."""
