"""One package a subsystem of the line; each is found by its entry point, none imports another."""
