"""``python -m bort_convert``."""

from bort_convert.cli import main

if __name__ == "__main__":
    main(prog_name="convert-bort")
