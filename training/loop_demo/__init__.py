"""The learning loop on recorded answers: a real service with a bad bundle gets better by itself; the world changes.

prepare.py     the copies that each process may read, the bad bundle and the one of full information
confined.py    a process that can read what is named and nothing else
traffic.py     rounds of queries; feedback on some of them, late, some of it wrong
score.py       the process that alone sees all rewards: what every bundle is really worth
command.py     the rounds, and cycles between them
summary.py     the table and the picture
"""
