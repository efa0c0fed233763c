"""Reading lists that change while they are read: what is new, changed, unchanged or gone."""
