"""Ask model servers a file of queries and keep every answer as a recording. `apportion collect`.

queries.py      the file of queries
backend.py      a server, the way to it, and how it is drawn from
items.py        what is still to be drawn
run.py          draws it: in parallel, with retries, into the journal
journal.py      what was drawn so far; it survives `kill -9`
finish.py       from the journal to the recording's folder
states.py       hidden states while collecting
reread.py       hidden states of samples that were recorded: the same tokens are read again
look_states.py  the same at every look at a trace
burst.py        many requests at once, each read to its end
command.py      the command
"""
