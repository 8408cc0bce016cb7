"""Which answers are the same: marks, numbers, classes, and slow comparisons in a process that can be killed."""
