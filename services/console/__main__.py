"""`python -m services.console`, the same as `freshet`."""

from services.console.command import main

if __name__ == "__main__":
    main()
