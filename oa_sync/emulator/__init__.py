"""An OpenAnalyst API to test against: both documented dialects, quotas, faults and data that changes.

It imports nothing from the other rooms but the clock, so it cannot repeat a mistake of theirs and hide it.
`server.running` serves it from a thread, `server.serve` from the command line.
"""
