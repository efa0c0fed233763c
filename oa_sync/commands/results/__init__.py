"""Results of queries and exports: asked for, waited for and loaded."""
