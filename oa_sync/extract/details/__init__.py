"""Details of the rows that are new or changed, several in flight."""
