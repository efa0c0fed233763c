"""What to read, as data: the vocabulary of definition files, the loader, and the built-in files."""
