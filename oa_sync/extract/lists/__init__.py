"""Reading lists that move while they are read: what is new, changed, unchanged or gone."""
