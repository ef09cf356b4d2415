"""What the service promises of speed and memory, measured; `python -m tests.benchmarks` (make bench) prints it.

A file a subject. Each measures its baseline in the same run, in turns with the product, and gives medians of rounds:
the machine may be shared and noisy, and noise then hits both. Nothing here is a test: a missed aim is shown and fails
nothing.
"""
