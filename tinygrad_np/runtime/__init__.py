"""What the machine provides: recycled memory, threads, and a report of both."""
