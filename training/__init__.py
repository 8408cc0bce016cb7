"""Learn from the log and from recordings: collect, grade, import, fit, replay, benchmark."""
