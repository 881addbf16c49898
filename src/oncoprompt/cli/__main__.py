"""`python -m oncoprompt.cli`."""

from oncoprompt.cli import main

main()
