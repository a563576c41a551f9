"""The games of a step of self-play: tasks, who plays whom, what counts, and what fills the batch."""
