"""What the service says about itself: metrics, traces, logs. All three are fed from the logged row.

    catalogue.py         every metric: name, kind, labels, meaning; the reference and its tests read it
    accumulators.py      counts and histograms without locks: one event loop writes and reads them
    decision_metrics.py  what is counted of every row
    outcome_metrics.py   what was predicted against what was reported; risk from shadow runs
    state_metrics.py     what is read when somebody asks: budgets, backends, store, admission
    exposition.py        all of it in Prometheus' text format
    endpoint.py          a port of its own for it
    worker_counts.py     with several workers: what each has counted, `merged_counts.py` their sum on one page,
    worker_link.py       and the socket between; `front.py` shows the page
    reference.py         the table of metrics as Markdown
    spans.py, traces.py  a span per query and per sample, from the row, in a thread of its own (extra `otel`)
    logs.py              the form of log lines; the decision's id in all of them

`[metrics]`, `[tracing]` and `[log]` of router.toml say what is on; what is off costs nothing. To add a metric, give it
a line in `CATALOGUE` and say where its value comes from; labels never hold what a caller may choose freely, but
through `Names`, which has an end.
"""
