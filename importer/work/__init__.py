"""Send with several machines: the queue of jobs, the workers, and lists that are put in."""
