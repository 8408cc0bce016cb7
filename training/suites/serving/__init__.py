"""The suite `serving`: the real server under load, side by side with a bare gRPC server of the same messages.

prompts.py        queries, every one different: 50 to 4,000 characters, a sixth of them with turns
wire.py           the same as requests in bytes, and what comes back
home.py           a folder with a bundle and a configuration: instant backends, or a paced model server
echo_server.py    the yardstick: grpc.aio, the same messages, nothing in between
processes.py      servers as processes of their own, what they use of the processor and of memory
load.py           closed loops of calls, and their latencies
streams.py        streams through the service and straight from the model server
overload.py       more queries than there are places for: what is answered, and what is told to the others
decision_cost.py  what one decision takes, part by part
measure.py        the rounds, and the figures of every target
suite.py          all of it

mixed.py          every kind of call, at its time whatever became of those before it
soak.py           the highest rate that is kept up, then four fifths of it for long: `make soak`
"""
