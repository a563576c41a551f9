"""Players that vLLM samples: in this process, or by servers behind one client with failover.

Every turn is a list of token ids from end to end: prompts are sent as ids, replies come back as ids, and text
is decoded from them here. Nothing of vLLM is imported before an engine of this process is asked for.
"""
