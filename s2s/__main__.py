"""`python -m s2s` is `s2s`."""

from s2s.cli.app import run

if __name__ == "__main__":
    run()
