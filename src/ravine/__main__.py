"""Let `python -m ravine` do what `ravine` does."""

from ravine.cli import main

if __name__ == "__main__":
    main()
