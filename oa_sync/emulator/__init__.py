"""An OpenAnalyst API to run against: both documented dialects, quotas, faults and moving data.

It imports nothing from the other rooms but the clock, so a mistake there cannot hide itself here.
`server.running` serves it from a thread, `server.serve` from the command line.
"""
