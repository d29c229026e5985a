"""How the line flows: workers, lag and pace, sampled from the log and the catalogue every few seconds."""
