"""The long run of the fault tests: `make soak`."""
