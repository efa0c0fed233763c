"""What to ask the API for, and what its answers mean: lists, details, agent runs, jobs."""
