"""What the Makefile runs: the local stack, the demo, the checks, sample data, screenshots."""
