"""The live demo: two real vLLM servers on the CPU, the real service before them, queries that it has not learned from.

`questions` chooses what is asked and how, `prepare` configures and fits, `asking` asks, `score` grades, `audit` looks
for what is broken, `table` prints, `command` is the walk.
"""
