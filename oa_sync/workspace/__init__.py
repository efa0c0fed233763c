"""One workspace, opened: its API with its account, what was heard of its agent runs, its lock, its report."""
