"""`python -m oa_sync`: the same as the `oa-sync` script."""

from oa_sync.cli import main

if __name__ == "__main__":
    main()
