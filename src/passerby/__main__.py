"""`python -m passerby` is the command `passerby`."""

from passerby.cli.main import main

main()
