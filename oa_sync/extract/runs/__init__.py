"""Agent runs, also those that no list shows: heard of, followed to their end, given up if they never end."""
