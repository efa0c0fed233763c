"""What was fetched and is not yet known to be loaded: on disk, in order, on its way to loading."""
