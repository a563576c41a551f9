"""What is trained: models as policies, whole or shared out among processes, and the memory they take."""
