"""What to ask for and what it means: scan, changes, details, journal."""
