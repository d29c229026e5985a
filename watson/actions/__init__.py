"""What people may ask for: a job, a pause, a retry. The command line and the pages call the same functions."""
