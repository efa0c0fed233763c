"""What a user can ask for, one verb a file, as functions that a program can call too."""
