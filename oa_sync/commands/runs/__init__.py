"""Agent runs: started and listed."""
