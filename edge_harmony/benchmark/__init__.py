"""The latency/accuracy harness: scenarios, statistics, counters, results, budgets and reports."""
