"""Agent runs, which no list may show: heard of, followed until they end, given up when they never do."""
