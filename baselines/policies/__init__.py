"""What is trained: models as policies, whole or sharded across processes, and the memory they take."""
