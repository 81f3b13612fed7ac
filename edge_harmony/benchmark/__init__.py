"""The latency/accuracy harness: scenarios, statistics, results, budgets and reports."""
