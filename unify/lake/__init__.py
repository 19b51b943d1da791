"""What outlives a process: the lake, its catalog, the queue, staged files."""
