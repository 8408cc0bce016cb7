"""The first hour: what a model server is and can do (`survey`), the router.toml that follows (`first_config`), and
whether a configuration still says what is true (`checkup`).

Nothing here runs while queries are served. Every question to a server is counted and ends within a given time; what
could not be asked in that time is reported as not measured, never guessed.
"""
